//! Bytes that no client of ours sends, within TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use hsm_api::{Hello, Peer, Request};
use hsm_net::Purpose;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::rig::{Box1, Pki, until};

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(to: SocketAddr) -> Tls {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), ServerName::from(to.ip())).unwrap();
    StreamOwned::new(session, TcpStream::connect(to).unwrap())
}

const PREAMBLE: [u8; 8] = [b'K', b'S', b'T', b'D', 1, 0, 0, 0];

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    frame.extend(body);
    frame
}

fn greeting(purpose: Purpose) -> Vec<u8> {
    let hello = Hello {
        application: 5,
        peer: Peer::Client,
    };
    let greeting = postcard::to_allocvec(&(purpose, hello)).unwrap();
    [&PREAMBLE[..], &frame(&greeting)].concat()
}

/// Sends, then reads until the node closes.
fn exchange(to: SocketAddr, parts: &[&[u8]]) -> Vec<u8> {
    let mut tls = connect(to);
    for part in parts {
        // The node may have closed already.
        let _ = tls.write_all(part);
    }
    let _ = tls.conn.complete_io(&mut tls.sock);
    let _ = tls.sock.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = tls.read_to_end(&mut answer);
    answer
}

#[test]
fn bad_frames_close_their_connection_with_a_reason_and_the_node_stays_up() {
    let pki = Pki::new();
    let at = Box1::new(&pki, 1);
    let good = greeting(Purpose::Client);
    let oversized = (100_u32 << 20).to_le_bytes();
    let truncated = [&1000_u32.to_le_bytes()[..], &[1; 50]].concat();
    let garbled = frame(&[0xFF; 60]);
    let too_short = frame(&[0; 5]);
    let mut left_over = vec![0; 24];
    left_over.extend(postcard::to_allocvec(&Request::Random).unwrap());
    left_over.push(0);
    let left_over = frame(&left_over);
    let cases: [(&str, &[&[u8]]); 8] = [
        ("not this protocol", &[b"GET / HTTP/1.1\r\n\r\n"]),
        (
            "protocol version 2",
            &[&[b'K', b'S', b'T', b'D', 2, 0, 0, 0]],
        ),
        ("garbled frame", &[&PREAMBLE, &frame(&[0xEE; 9])]),
        ("oversized frame: 104857600", &[&good, &oversized]),
        ("peer closed", &[&good, &truncated]),
        ("not decodable", &[&good, &garbled]),
        ("shorter than its head", &[&good, &too_short]),
        ("bytes left over", &[&good, &left_over]),
    ];
    for (why, parts) in cases {
        at.log.lock().clear();
        exchange(at.client, parts);
        until(why, || at.logged(why));
    }
    at.tool(&pki).unwrap().ask(&Request::Random).unwrap();
    until("all places are free", || {
        at.node.as_ref().unwrap().connections() == 0
    });
}

#[test]
fn another_version_is_told_ours() {
    let pki = Pki::new();
    let at = Box1::new(&pki, 1);
    let answer = exchange(at.client, &[&[b'K', b'S', b'T', b'D', 9, 0, 0, 0]]);
    assert_eq!(answer, PREAMBLE);
}

#[test]
fn a_port_says_what_it_is_not_for() {
    let pki = Pki::new();
    let at = Box1::new(&pki, 1);
    let answer = exchange(at.client, &[&greeting(Purpose::Management)]);
    assert!(String::from_utf8_lossy(&answer).contains("management tools 2225"));
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = aws_lc_rs::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
