//! TLS after INFO, TLS first, and what happens without it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use busauth::{Acl, AuthFailure, Authenticated, Authenticator, Presented, Principal};
use embedded_broker::{Authentication, Broker, BrokerConfig, Limits, TlsMode};
use futures_util::StreamExt;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Pki, RawClient, broker, stop};

async fn tls_broker(tls: TlsMode) -> Broker {
    let limits = Limits { tls_timeout: PATIENCE, ..Limits::default() };
    broker(BrokerConfig { tls, limits, ..BrokerConfig::default() }).await
}

/// Reads INFO in clear, and no byte more.
async fn clear_info(stream: &mut TcpStream) -> String {
    use tokio::io::AsyncReadExt;
    let mut info = Vec::new();
    while !info.ends_with(b"\n") {
        info.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(info).unwrap()
}

fn tls_url(address: SocketAddr) -> String {
    format!("tls://localhost:{}", address.port())
}

#[tokio::test]
async fn after_info() {
    let pki = Pki::new();
    let broker = tls_broker(TlsMode::AfterInfo(pki.server(false))).await;
    assert!(broker.client_url().starts_with("tls://"));
    let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    let info = clear_info(&mut stream).await;
    assert!(info.contains("\"tls_required\":true"), "{info}");
    let mut client = RawClient::on(pki.connect(stream, false).await.unwrap());
    client.send("CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n").await;
    client.expect("MSG a 1 1\r\nx\r\n").await;
    assert!(broker.connections()[0].tls);

    let options = async_nats::ConnectOptions::new().tls_client_config(pki.client(false));
    let library = options.connect(tls_url(broker.local_addr())).await.unwrap();
    let mut messages = library.subscribe("large").await.unwrap();
    library.publish("large", vec![7; 1_000_000].into()).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
    assert_eq!(message.payload.len(), 1_000_000);
    stop(broker).await;
}

#[tokio::test]
async fn first() {
    let pki = Pki::new();
    let broker = tls_broker(TlsMode::First(pki.server(false))).await;
    let stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    let mut client = RawClient::over(pki.connect(stream, false).await.unwrap()).await;
    assert!(client.info.contains("\"tls_required\":true"), "{}", client.info);
    client.send("CONNECT {\"verbose\":false}\r\n").await;
    client.sync().await;
    let options = async_nats::ConnectOptions::new().tls_client_config(pki.client(false)).tls_first();
    options.connect(tls_url(broker.local_addr())).await.unwrap().flush().await.unwrap();
    stop(broker).await;
}

#[tokio::test]
async fn clear_text_where_tls_is_required_ends_the_connection() {
    let pki = Pki::new();
    for tls in [TlsMode::AfterInfo(pki.server(false)), TlsMode::First(pki.server(false))] {
        let after_info = matches!(tls, TlsMode::AfterInfo(_));
        let broker = tls_broker(tls).await;
        let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
        if after_info {
            clear_info(&mut stream).await;
        }
        let mut client = RawClient::on(stream);
        client.send("CONNECT {\"verbose\":false}\r\nPING\r\n").await;
        // At most a TLS alert, which is no line.
        client.expect_closed().await;
        stop(broker).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_start_tls_in_time_is_dropped() {
    let pki = Pki::new();
    let tls = TlsMode::First(pki.server(false));
    let limits = Limits { tls_timeout: Duration::from_millis(100), ..Limits::default() };
    let broker = broker(BrokerConfig { tls, limits, ..BrokerConfig::default() }).await;
    let mut client = RawClient::on(TcpStream::connect(broker.local_addr()).await.unwrap());
    client.expect_closed().await;
    stop(broker).await;
}

/// Tells who the client's certificate is from.
struct ByCertificate(CertificateDer<'static>);

#[async_trait]
impl Authenticator for ByCertificate {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        if presented.tls_peer != Some(&self.0[..]) {
            return Err(AuthFailure::Unknown);
        }
        Ok(Authenticated { principal: Principal::new("certified"), acl: Arc::new(Acl::allow_all()) })
    }

    fn rights(&self, _: &Principal) -> Option<Arc<Acl>> {
        None
    }
}

#[tokio::test]
async fn the_authenticator_sees_the_client_certificate() {
    let pki = Pki::new();
    let config = BrokerConfig {
        tls: TlsMode::First(pki.server(true)),
        authentication: Authentication::By(Arc::new(ByCertificate(pki.client_certificate()))),
        ..BrokerConfig::default()
    };
    let broker = broker(config).await;
    let stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    let mut client = RawClient::over(pki.connect(stream, true).await.unwrap()).await;
    client.send("CONNECT {\"verbose\":false}\r\n").await;
    client.sync().await;
    assert_eq!(broker.connections()[0].principal, Some(Principal::new("certified")));
    // Without one, TLS itself fails: with TLS 1.3 the client hears of it at its first read.
    let stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    if let Ok(stream) = pki.connect(stream, false).await {
        RawClient::on(stream).expect_closed().await;
    }
    stop(broker).await;
}
