//! A page over SQLite whose slow query runs once for all processes:
//! `DATABASE=shop.db PORT=8080 cargo run`, then `curl localhost:8080/report/monday`.

mod shop;

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, post};
use axum::Router;
use corral::{Corral, Error, Options, Settings};
use shop::Shop;

#[derive(Clone)]
struct Page {
    shop: Shop,
    cache: Corral,
}

/// A caller who hangs up drops this future: if it was building, the next caller does.
async fn report(State(page): State<Page>, Path(day): Path<String>) -> Result<Html<String>, (StatusCode, String)> {
    let key = format!("report:{day}");
    let title = day.clone();
    let orders: String = page.cache.get_or_build(key, move || page.shop.report(day)).await.map_err(refused)?;
    Ok(Html(format!("<h1>{title}</h1><p>{orders}</p>\n")))
}

async fn order(State(page): State<Page>, Path((day, amount)): Path<(String, i64)>) -> Result<(), (StatusCode, String)> {
    page.shop.order(day.clone(), amount).await.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    page.cache.invalidate([format!("report:{day}")]).await.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
}

async fn queries(State(page): State<Page>, Path(day): Path<String>) -> Result<String, (StatusCode, String)> {
    let count = page.shop.queries(day).await;
    count.map(|count| count.to_string()).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn refused(error: Error<shop::QueryError>) -> (StatusCode, String) {
    let status = match &error {
        Error::Failed(_) | Error::WaitTimeout(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.to_string())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let var = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let client = redis::Client::open(var("REDIS_URL", "redis://127.0.0.1:6379"))?;
    // Fresh for a minute, served for another half while one caller renews it, and for an hour if that fails.
    let minute = Options::new().ttl(Duration::from_secs(60)).swr(Duration::from_secs(30)).sie(Duration::from_secs(3_600));
    let page = Page {
        shop: Shop::open(var("DATABASE", "shop.db"))?,
        cache: Corral::with(client, Settings::new().defaults(minute)),
    };
    let app = Router::new()
        .route("/report/{day}", get(report))
        .route("/order/{day}/{amount}", post(order))
        .route("/queries/{day}", get(queries))
        .with_state(page);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", var("PORT", "8080").parse()?)).await?;
    println!("http://{}/report/monday", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
