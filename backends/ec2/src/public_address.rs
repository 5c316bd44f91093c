//! The address under which the internet sees this machine, for the one rule that lets it in.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers with the address of whoever asks, as text (<https://checkip.amazonaws.com>).
const SERVICE: (&str, u16) = ("checkip.amazonaws.com", 80);

/// For the whole exchange.
const LIMIT: Duration = Duration::from_secs(10);

/// Most bytes of an answer.
const ANSWER_MAX: u64 = 4096;

/// This machine has no address that could be found out.
#[derive(Debug, thiserror::Error)]
#[error(
    "the public address of this machine cannot be found out ({source}); name it with --allow-cidr ADDRESS/32"
)]
pub struct NoAddress {
    #[from]
    source: io::Error,
}

/// Asks for our address. A lie opens the control port to somebody who has no key.
///
/// # Errors
/// If nobody answers, or with something else.
pub async fn find() -> Result<Ipv4Addr, NoAddress> {
    ask(SERVICE).await
}

async fn ask((host, port): (&str, u16)) -> Result<Ipv4Addr, NoAddress> {
    let exchange = async {
        let mut stream = TcpStream::connect((host, port)).await?;
        let request = format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(ANSWER_MAX).read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = tokio::time::timeout(LIMIT, exchange).await.map_err(io::Error::from)??;
    let last_line = answer.lines().next_back().unwrap_or_default();
    let address = last_line.trim().parse();
    address.map_err(|_| io::Error::other(format!("{host} answers {last_line:?}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn answer_with(answer: &'static str) -> (&'static str, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        ("127.0.0.1", port)
    }

    #[tokio::test]
    async fn the_answer_is_an_address_or_an_error_that_says_what_to_do() {
        let found = ask(answer_with("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n203.0.113.77\n")).await;
        assert_eq!(found.unwrap(), Ipv4Addr::new(203, 0, 113, 77));
        for wrong in ["HTTP/1.1 503 Busy\r\n\r\n", "", "HTTP/1.1 200 OK\r\n\r\n<html>\n"] {
            let error = ask(answer_with(wrong)).await.unwrap_err();
            assert!(error.to_string().contains("--allow-cidr"), "{error}");
        }
    }
}
