//! Redis' own information, for checking an installation.

use super::{RedisQueue, link};
use crate::QueueError;

/// Redis as described by `INFO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisServer {
    /// Its version; empty if not reported.
    pub version: String,
    /// Its memory limit in bytes; 0 for unlimited.
    pub max_memory: u64,
    /// Its eviction policy: `noeviction`, or which keys it evicts.
    pub max_memory_policy: String,
}

impl RedisQueue {
    /// Queries Redis' information.
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
    fn info_is_parsed() {
        let info = "# Server\r\nredis_version:7.2.4\r\n\r\n# Memory\r\nmaxmemory:268435456\r\n\
            maxmemory_human:256.00M\r\nmaxmemory_policy:allkeys-lru\r\n";
        let server = read(info);
        assert_eq!((server.version.as_str(), server.max_memory), ("7.2.4", 268_435_456));
        assert_eq!(server.max_memory_policy, "allkeys-lru");
        assert_eq!(read("").max_memory, 0);
    }
}
