//! What Redis says of itself: how often each command was run, and what went over its connections.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// Commands that clients send; the others run inside of scripts. The last one is the peer's.
const SENT: [&str; 6] = ["evalsha", "eval", "llen", "zcard", "ping", "bzpopmin"];

/// Commands of a connection that is opened, ours among them.
const OPENING: [&str; 3] = ["info", "client|setinfo", "hello"];

/// What was counted since the server started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Info {
    /// Runs of each command, inside of scripts as well.
    pub(crate) commands: BTreeMap<String, u64>,
    /// Bytes to the server.
    pub(crate) sent: u64,
    /// Bytes from the server.
    pub(crate) received: u64,
    /// The most memory it ever used, in bytes.
    pub(crate) memory_peak: u64,
    /// Clients connected now.
    pub(crate) clients: u64,
}

impl Info {
    /// Asks the server at this address.
    pub(crate) async fn of(url: &str) -> Result<Self> {
        let client = ::redis::Client::open(url)?;
        let mut connection =
            client.get_multiplexed_async_connection().await.context("Redis does not answer")?;
        let text: String = ::redis::cmd("INFO").arg("all").query_async(&mut connection).await?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut info = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.trim().split_once(':')) {
            let number = || value.parse().unwrap_or_default();
            match name {
                "total_net_input_bytes" => info.sent = number(),
                "total_net_output_bytes" => info.received = number(),
                "used_memory_peak" => info.memory_peak = number(),
                "connected_clients" => info.clients = number(),
                _ => {
                    let calls = value.strip_prefix("calls=").and_then(|rest| rest.split(',').next());
                    let command = name.strip_prefix("cmdstat_").zip(calls.and_then(|n| n.parse().ok()));
                    info.commands.extend(command.map(|(name, calls)| (name.to_owned(), calls)));
                }
            }
        }
        info.commands.retain(|name, _| !OPENING.contains(&name.as_str()));
        info
    }

    /// Commands that came over a connection.
    pub(crate) fn sent_by_clients(&self) -> u64 {
        self.commands.iter().filter(|(name, _)| SENT.contains(&name.as_str())).map(|(_, calls)| calls).sum()
    }

    /// Jobs pushed: each key of a job is set once. The script that pushes does it, and no other (apalis-redis 1.0.0).
    pub(crate) fn pushed(&self) -> u64 {
        self.runs("setnx")
    }

    /// Fetches that found no job: the script looks at the list of waiting jobs, and cuts it only where it has found one.
    pub(crate) fn fetched_nothing(&self) -> u64 {
        self.runs("lrange").saturating_sub(self.runs("ltrim"))
    }

    fn runs(&self, command: &str) -> u64 {
        self.commands.get(command).copied().unwrap_or_default()
    }

    /// All commands, those inside of scripts as well.
    pub(crate) fn in_all(&self) -> u64 {
        self.commands.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_is_read() {
        let text = "# Stats\r\ntotal_net_input_bytes:70\r\ntotal_net_output_bytes:30\r\n# Commandstats\r\n\
                    cmdstat_evalsha:calls=5,usec=9,usec_per_call=1.8\r\ncmdstat_del:calls=4,usec=1\r\n\
                    cmdstat_info:calls=2,usec=3\r\ncmdstat_lrange:calls=3,usec=3\r\ncmdstat_ltrim:calls=1,usec=3\r\n";
        let info = Info::parse(text);
        assert_eq!((info.sent, info.received, info.sent_by_clients(), info.in_all()), (70, 30, 5, 13));
        assert_eq!(info.fetched_nothing(), 2);
    }
}
