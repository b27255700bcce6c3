//! Breaks the core on purpose, one mutation of `mutations.txt` at a time, in a copy, and has the model search the run that
//! is about it, bounded. Each must be caught, by the property that the file names. `mutants WORD` tries only those with
//! WORD in their name.

use std::error::Error;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A mutated node that goes round in circles is not waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// One deliberate mistake.
struct Mutation<'a> {
    name: &'a str,
    run: &'a str,
    caught_by: &'a str,
    right: &'a str,
    wrong: &'a str,
}

fn main() -> Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let copy = copy_of(&root)?;
    let only = std::env::args().nth(1).unwrap_or_default();
    let listed = fs::read_to_string(root.join("tools/model/mutations.txt"))?;
    let mutations = listed.split("\n=====\n").skip(1).map(parsed).collect::<Result<Vec<_>>>()?;
    if !broken_in(&copy, None)?.is_empty() {
        return Err("the core fails the model before anything is changed".into());
    }
    let (mut tried, mut missed) = (0, 0);
    for mutation in mutations.iter().filter(|mutation| mutation.name.contains(&only)) {
        tried += 1;
        let found = match mutation.try_in(&copy) {
            Ok(broken) if broken.iter().any(|property| property == mutation.caught_by) => {
                println!("caught  {}: {}", mutation.name, mutation.caught_by);
                continue;
            }
            Ok(broken) if broken.is_empty() => "nothing is broken".to_owned(),
            Ok(broken) => broken.join(", "),
            Err(error) => error.to_string(),
        };
        missed += 1;
        println!("MISSED  {}: {found}", mutation.name);
    }
    println!("{tried} mutations, {missed} missed");
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Mutation<'_> {
    /// The properties that the mutated core breaks.
    fn try_in(&self, copy: &Path) -> Result<Vec<String>> {
        let (path, source) = self.place_in(&copy.join("crates/core/src"))?;
        fs::write(&path, source.replacen(self.right, self.wrong, 1))?;
        let broken = broken_in(copy, Some(self.run));
        fs::write(&path, source)?;
        broken
    }

    /// The one file that its text is in, wherever that has moved.
    fn place_in(&self, directory: &Path) -> Result<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut left = vec![directory.to_path_buf()];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                left.extend(
                    fs::read_dir(&path)?.collect::<std::result::Result<Vec<_>, _>>()?.iter().map(|of| of.path()),
                );
            } else {
                let source = fs::read_to_string(&path)?;
                let times = source.matches(self.right).count();
                found.extend((0..times).map(|_| (path.clone(), source.clone())));
            }
        }
        let times = found.len();
        let place = found.pop().filter(|_| times == 1);
        place.ok_or_else(|| format!("its place is found {times} times").into())
    }
}

fn parsed(text: &str) -> Result<Mutation<'_>> {
    let fault = || format!("not a mutation: {text}");
    let mut parts = text.split("\n-----\n");
    let (head, right, wrong) = (parts.next(), parts.next(), parts.next());
    let (Some(head), Some(right), Some(wrong), None) = (head, right, wrong, parts.next()) else {
        return Err(fault().into());
    };
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(fault);
    let (name, run, caught_by) = (field("mutation: ")?, field("run: ")?, field("caught by: ")?);
    Ok(Mutation { name, run, caught_by, right, wrong: wrong.trim_end_matches('\n') })
}

/// A workspace of the core and the model alone. The core's tests name the testkit: cargo wants to see it, and builds none
/// of it.
fn copy_of(root: &Path) -> Result<PathBuf> {
    let copy = root.join("target/mutants");
    for directory in ["crates/core", "tools/model", "tools/testkit"] {
        // What has moved must not be found twice.
        if copy.join(directory).exists() {
            fs::remove_dir_all(copy.join(directory))?;
        }
        copy_directory(&root.join(directory), &copy.join(directory))?;
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let workspace = manifest.split("\n[package]\n").next().unwrap_or_default();
    let kept = workspace.lines().filter(|line| !line.starts_with("exclude = "));
    let members = kept.map(|line| match line.starts_with("members = ") {
        true => "members = [\"crates/core\", \"tools/model\"]",
        false => line,
    });
    // Built once for each: what optimises longer than it searches costs more than it gives.
    let profile = "\n[profile.mutant]\ninherits = \"release\"\nopt-level = 1\ncodegen-units = 16\nincremental = true\n";
    fs::write(copy.join("Cargo.toml"), members.collect::<Vec<_>>().join("\n") + profile)?;
    fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock"))?;
    Ok(copy)
}

fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_directory(&path, &to)?;
        } else {
            fs::write(to, fs::read(path)?)?;
        }
    }
    Ok(())
}

/// The properties that the core in `copy` breaks, in one run of the model or in any.
fn broken_in(copy: &Path, run: Option<&str>) -> Result<Vec<String>> {
    let cargo = |words: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(words).args([
            "--profile",
            "mutant",
            "--quiet",
            "--package",
            "corral-model",
            "--bin",
            "corral-model",
        ]);
        command.env("CARGO_TARGET_DIR", copy.join("target")).current_dir(copy);
        command
    };
    let built = cargo(&["build"]).env("RUSTFLAGS", "-Awarnings").output()?;
    if !built.status.success() {
        return Err(format!("does not compile: {}", String::from_utf8_lossy(&built.stderr)).into());
    }
    let mut search = Command::new(copy.join("target/mutant/corral-model"))
        .arg("--quick")
        .args(run)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let began = Instant::now();
    while search.try_wait()?.is_none() {
        if began.elapsed() > PATIENCE {
            search.kill()?;
            search.wait()?;
            return Err("the search does not end".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut told = String::new();
    if let Some(mut out) = search.stdout.take() {
        out.read_to_string(&mut told)?;
    }
    Ok(told.lines().filter_map(|line| line.strip_prefix("broken: ")).map(str::to_owned).collect())
}
