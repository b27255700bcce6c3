//! A server of a test's own, and how the `redis` crate connects to it.

pub use corral_testkit::Server;

/// With user and password as they stand in a URL: `user:password@`, or nothing.
pub fn url(server: &Server, credentials: &str) -> String {
    format!("redis://{credentials}127.0.0.1:{}", server.port)
}

pub fn connect(server: &Server) -> redis::Connection {
    redis::Client::open(url(server, "")).unwrap().get_connection().unwrap()
}
