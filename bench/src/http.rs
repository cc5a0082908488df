//! As much of an HTTP/1.1 client as a load generator needs, and no more, so that what is measured is the server.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A keep-alive connection: one request at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer with a known length.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

struct Head {
    status: u16,
    /// Its bytes, the empty line included.
    length: usize,
    body: usize,
}

const BUFFER: usize = 16 * 1024;

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER] })
    }

    /// Sends a whole request and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        let (mut filled, mut head) = (0, None);
        let head: Head = loop {
            if let Some(known) = head.take_if(|head: &mut Head| head.length + head.body <= filled) {
                break known;
            }
            let needed = head.as_ref().map_or(filled + 1, |head| head.length + head.body);
            if needed > self.buffer.len() {
                self.buffer.resize(needed.max(self.buffer.len() * 2), 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            if head.is_none() {
                head = Head::parse(&self.buffer[..filled])?;
            }
        };
        Ok(Answer { status: head.status, body: &self.buffer[head.length..head.length + head.body] })
    }
}

impl Head {
    /// Nothing while it has not come whole.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| invalid("an answer's head is not text"))?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        match (status, length) {
            (Some(status), Some(body)) => Ok(Some(Self { status, length: end + 4, body })),
            _ => Err(invalid("an answer without a status or a length")),
        }
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

/// A call with a JSON body, on a connection of its own. Gives the status and the body.
pub(crate) async fn post(addr: SocketAddr, path: &str, key: &str, body: &str) -> Result<(u16, String)> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {addr}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    call(addr, &request).await
}

/// A call without a body, on a connection of its own.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> Result<(u16, String)> {
    call(addr, &format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n")).await
}

async fn call(addr: SocketAddr, request: &str) -> Result<(u16, String)> {
    let mut connection = Connection::open(addr).await?;
    let answer = connection.exchange(request.as_bytes()).await?;
    Ok((answer.status, String::from_utf8_lossy(answer.body).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 14\r\n\r\nEVENT";
        assert!(Head::parse(&whole[..40]).unwrap().is_none());
        let head = Head::parse(whole).unwrap().unwrap();
        assert_eq!((head.status, head.body), (200, 14));
        assert_eq!(&whole[head.length..], b"EVENT");
    }

    #[test]
    fn an_answer_without_a_length_is_an_error() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
