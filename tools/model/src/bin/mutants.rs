//! Breaks the core on purpose, one mutation of `mutations.txt` at a time, in a copy, and has the model search the run that
//! is about it, bounded. Each must be caught, by the property that the file names. `mutants WORD` tries only those with
//! WORD in their name.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One deliberate mistake.
struct Mutation<'a> {
    name: &'a str,
    /// In `crates/core/src/`.
    file: &'a str,
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
    let mut missed = 0;
    for mutation in mutations.iter().filter(|mutation| mutation.name.contains(&only)) {
        let mut broken = mutation.try_in(&copy)?;
        broken.sort();
        broken.dedup();
        let is_caught = broken.iter().any(|property| property == mutation.caught_by);
        missed += usize::from(!is_caught);
        let verdict = if is_caught { "caught" } else { "MISSED" };
        println!(
            "{verdict}  {}: {}",
            mutation.name,
            if is_caught { mutation.caught_by.into() } else { broken.join(", ") }
        );
    }
    println!("{} mutations, {missed} missed", mutations.len());
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Mutation<'_> {
    /// The properties that the mutated core breaks.
    fn try_in(&self, copy: &Path) -> Result<Vec<String>> {
        let path = copy.join("crates/core/src").join(self.file);
        let source = fs::read_to_string(&path)?;
        if source.matches(self.right).count() != 1 {
            return Err(format!("{}: its place in {} is not found once", self.name, self.file).into());
        }
        fs::write(&path, source.replacen(self.right, self.wrong, 1))?;
        let broken = broken_in(copy, Some(self.run));
        fs::write(&path, source)?;
        broken
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
    let (name, file, run) = (field("mutation: ")?, field("file: ")?, field("run: ")?);
    Ok(Mutation { name, file, run, caught_by: field("caught by: ")?, right, wrong: wrong.trim_end_matches('\n') })
}

/// A workspace of the core and the model alone. The core's tests name the testkit: cargo wants to see it, and builds none
/// of it.
fn copy_of(root: &Path) -> Result<PathBuf> {
    let copy = root.join("target/mutants");
    for directory in ["crates/core", "tools/model", "tools/testkit"] {
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
    let run = Command::new(copy.join("target/mutant/corral-model")).arg("--quick").args(run).output()?;
    let told = String::from_utf8_lossy(&run.stdout);
    Ok(told.lines().filter_map(|line| line.strip_prefix("broken: ")).map(str::to_owned).collect())
}
