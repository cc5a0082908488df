//! What Redis says of itself: how often each command was run, and what went over its connections.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Commands that clients send; the others run inside of scripts.
const SENT: [&str; 5] = ["evalsha", "eval", "llen", "zcard", "ping"];

/// What was counted since the server started.
#[derive(Debug, Clone, Default)]
pub(super) struct Info {
    /// Runs of each command, inside of scripts as well.
    pub(super) commands: BTreeMap<String, u64>,
    /// Bytes to the server.
    pub(super) sent: u64,
    /// Bytes from the server.
    pub(super) received: u64,
    /// The most memory it ever used, in bytes.
    pub(super) memory_peak: u64,
    /// Clients connected now.
    pub(super) clients: u64,
}

impl Info {
    pub(super) async fn of(addr: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(addr).await.context("Redis does not answer")?;
        stream.write_all(b"INFO all\r\n").await?;
        let mut answer = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(text) = bulk(&answer)? {
                return Ok(Self::parse(&text));
            }
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                bail!("Redis ended the connection");
            }
            answer.extend_from_slice(&buffer[..read]);
        }
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
        // Ours.
        info.commands.remove("info");
        info
    }

    /// Commands that came over a connection.
    pub(super) fn sent_by_clients(&self) -> u64 {
        self.commands.iter().filter(|(name, _)| SENT.contains(&name.as_str())).map(|(_, calls)| calls).sum()
    }

    /// Jobs pushed: each key of a job is set once. The script that pushes does it, and no other (apalis-redis 1.0.0).
    pub(super) fn pushed(&self) -> u64 {
        self.runs("setnx")
    }

    /// Fetches that found no job: the script looks at the list of waiting jobs, and cuts it only where it has found one.
    pub(super) fn fetched_nothing(&self) -> u64 {
        self.runs("lrange").saturating_sub(self.runs("ltrim"))
    }

    fn runs(&self, command: &str) -> u64 {
        self.commands.get(command).copied().unwrap_or_default()
    }

    /// All commands, those inside of scripts as well.
    pub(super) fn in_all(&self) -> u64 {
        self.commands.values().sum()
    }
}

/// The text of `$length\r\ntext\r\n`, if it is there whole.
fn bulk(answer: &[u8]) -> Result<Option<String>> {
    let Some(end) = answer.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&answer[..end]);
    let Some(length) = head.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) else {
        bail!("Redis answered {head}");
    };
    let text = answer.get(end + 2..end + 2 + length);
    Ok(text.map(|text| String::from_utf8_lossy(text).into_owned()))
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
        let answer = format!("${}\r\n{text}\r\n", text.len());
        assert_eq!(bulk(answer.as_bytes()).unwrap().as_deref(), Some(text));
        assert_eq!(bulk(&answer.as_bytes()[..9]).unwrap(), None);
        assert!(bulk(b"-NOAUTH\r\n").is_err());
    }
}
