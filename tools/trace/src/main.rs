//! `corral-trace FILE...`: tells the traces of running servers again to a node, and says where other steps come of it.

use std::process::ExitCode;

use corral_core::trace::replay;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: corral-trace FILE..., traces as a build with the feature trace writes them");
        return ExitCode::from(2);
    }
    let mut is_alike = true;
    for file in files {
        let trace = match std::fs::read(&file) {
            Ok(trace) => trace,
            Err(why) => {
                eprintln!("{file}: {why}");
                return ExitCode::from(2);
            }
        };
        match replay(&trace) {
            Ok(replayed) => {
                println!("{file}: {} inputs, {} of them requests, the same steps", replayed.inputs, replayed.requests);
            }
            Err(difference) => {
                is_alike = false;
                println!("{file}: input {} differs", difference.at);
                println!("  told: {}", difference.input);
                println!("  came: {}", difference.there);
                println!("  here: {}", difference.here);
            }
        }
    }
    if is_alike {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
