//! What Redis says of itself, for those who check an installation.

use super::{RedisQueue, link};
use crate::QueueError;

/// Redis, as `INFO` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisServer {
    /// Its version; empty where it does not say.
    pub version: String,
    /// The most memory it takes, in bytes; 0 for as much as there is.
    pub max_memory: u64,
    /// What it does when that is full: `noeviction`, or which keys it drops.
    pub max_memory_policy: String,
}

impl RedisQueue {
    /// What Redis says of itself.
    pub async fn server(&self) -> Result<RedisServer, QueueError> {
        let mut conn = self.conn.clone();
        let info = self.ask(async move {
            let info = ::redis::cmd("INFO").query_async::<String>(&mut conn).await;
            info.map_err(|error| link::classified(&error))
        });
        Ok(read(&info.await?))
    }
}

fn read(info: &str) -> RedisServer {
    let value = |name: &str| {
        let line = info.lines().find_map(|line| line.split_once(':').filter(|(key, _)| *key == name));
        line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    RedisServer {
        version: value("redis_version"),
        max_memory: value("maxmemory").parse().unwrap_or(0),
        max_memory_policy: value("maxmemory_policy"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_is_read() {
        let info = "# Server\r\nredis_version:7.2.4\r\n\r\n# Memory\r\nmaxmemory:268435456\r\n\
            maxmemory_human:256.00M\r\nmaxmemory_policy:allkeys-lru\r\n";
        let server = read(info);
        assert_eq!((server.version.as_str(), server.max_memory), ("7.2.4", 268_435_456));
        assert_eq!(server.max_memory_policy, "allkeys-lru");
        assert_eq!(read("").max_memory, 0);
    }
}
