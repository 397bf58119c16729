//! HTTP: routes, authentication, representations, pages. No SQL, no rules.
//!
//! Start at `routes`: the URL map of the whole product on one page.

mod api;
mod app;
mod auth;
mod cache;
mod description;
mod error;
mod files;
mod form;
mod inspection;
mod integrity;
mod metrics;
mod negotiate;
mod pages;
mod routes;
mod server;
mod simple;
mod tlog;
mod tuf;
mod upload;

pub use app::{App, WebSettings};
pub use routes::router;
pub use server::{Tls, serve, tls_from_files};
