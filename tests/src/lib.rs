//! The harness of the integration tests: dedicated servers, the simulator, and dmrelay on both backends.

pub mod alertmanager;
pub mod browser;
pub mod bucket;
pub mod cluster;
pub mod collector;
pub mod console;
pub mod database;
pub mod login;
pub mod port;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod relay;
pub mod rest;
pub mod seed;
pub mod settings;
pub mod stream;
pub mod tether;
pub mod token;
pub mod wait;
