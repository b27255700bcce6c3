//! The whole demo with a small herd: a real redis-server with the built module, a real database, the picture.
//! It looks at what was counted and written, never at how long anything took.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[test]
fn a_quick_run_counts_the_queries_and_draws_a_picture_that_needs_no_network() -> Outcome {
    let temporary = TempDir::new()?;
    let picture = temporary.path().join("report.html");
    let output = demo(temporary.path(), &["--quick", "--out", &picture.to_string_lossy()])?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));

    let most = said.lines().find(|line| line.contains("queries per expiry: most")).unwrap_or(&said);
    let corral = most.trim_end_matches([' ', '│']).rsplit(' ').next();
    assert_eq!(corral, Some("1"), "{said}");

    let page = std::fs::read_to_string(&picture)?;
    assert_eq!(page.matches("<svg").count(), 2);
    for name in ["no protection", "SET NX, poll every 50 ms", "Corral"] {
        assert!(page.contains(name), "{name} is not on the page");
    }
    // The name of SVG's namespace looks like an address, but nothing is fetched from it.
    let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for outside in ["http:", "https:", "url(", "src=", "<script", "<link", "@import"] {
        assert!(!page.contains(outside), "the page reaches outside: {outside}");
    }
    assert_eq!(left_behind(temporary.path())?, ["report.html"]);
    Ok(())
}

#[test]
fn a_missing_module_is_named_with_what_to_do() -> Outcome {
    let temporary = TempDir::new()?;
    let output = demo(temporary.path(), &["--quick", "--module", "nowhere.so"])?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(complaint.contains("nowhere.so") && complaint.contains("make build"), "{complaint}");
    assert_eq!(left_behind(temporary.path())?, [""; 0]);
    Ok(())
}

/// Runs the demo with `directory` as the one for its temporary files, and as the current one.
fn demo(directory: &Path, arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_corral-lab"))
        .arg("demo")
        .args(arguments)
        .current_dir(directory)
        .env("TMPDIR", directory)
        .output()
}

fn left_behind(directory: &Path) -> std::io::Result<Vec<String>> {
    std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
