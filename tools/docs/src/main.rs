//! `make docs`: writes what changed.

use std::path::Path;

use anyhow::Result;
use corral_testkit::Server;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let server = Server::start();
    for (path, text) in corral_docs::written(&root, &mut server.client())? {
        if std::fs::read_to_string(&path).unwrap_or_default() != text {
            std::fs::write(&path, text)?;
            println!("{}", path.strip_prefix(&root)?.display());
        }
    }
    Ok(())
}
