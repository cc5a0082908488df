//! The integration tests: one binary.

/// Runs each test on both backends: SQLite with the in-process queue, and PostgreSQL with Redis.
macro_rules! on_both_backends {
    ($($test:ident),+ $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(dmrelay_tests::relay::Backend::Embedded).await
                }
            )+
        }
        mod servers {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(dmrelay_tests::relay::Backend::Servers).await
                }
            )+
        }
    };
}

mod abuse;
mod access;
mod addresses;
mod admin;
mod agent_faults;
mod backfill;
mod backup;
mod base;
mod bodies;
mod breakers;
mod broadcasts;
mod browser;
mod canary;
mod clients;
mod comments;
mod connect;
mod console;
mod dead_letters;
mod docs;
mod drill;
mod events;
mod graph_faults;
mod health;
mod history;
mod inbox;
mod inbox_profile;
mod layout;
mod limits;
mod live;
mod load;
mod login;
mod media;
mod notifications;
mod openapi;
mod operations;
mod paging;
mod pauses;
mod pipeline;
mod privacy;
mod process;
mod queue;
mod quick_start;
mod reauth;
mod release;
mod reload;
mod routing;
mod rules;
mod sdk;
mod send;
mod sessions;
mod silence;
mod single_sign_on;
mod store;
mod store_rest;
mod takeover;
mod templates;
mod tokens;
mod tracing;
mod transfer;
mod understanding;
mod unit_of_work;
mod unusual;
mod uploads;
mod usage;
mod waiting;
mod watching;
mod webhook;
mod writing;
