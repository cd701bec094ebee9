//! The serving side under bad input, many connections, faults and shutdown.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use hsm_api::{Hidden, KeyRef, Link, ObjectId, Op, Request, Role, Rv};
use hsm_net::Limits;

use crate::rig::{Box1, MECH, Pki, Rig, S, config, encrypt, open, until};

#[test]
fn what_is_no_tls_closes_that_connection_and_the_node_stays_up() {
    let pki = Pki::new();
    let at = Box1::new(&pki, 1);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x16, 3, 3, 0xFF, 0xFF],
        &[0; 4096],
    ] {
        let mut tcp = TcpStream::connect(at.client).unwrap();
        tcp.write_all(garbage).unwrap();
        // Half a record and then nothing more is the same.
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = tcp.read_to_end(&mut Vec::new());
    }
    until("the node logs why", || at.log.lock().len() == 3);
    open(config(&pki, &[at])).unwrap();
}

#[test]
fn a_request_over_the_limit_is_refused_before_it_is_sent() {
    let pki = Pki::new();
    let limits = Limits {
        frame: 100 << 10,
        ..Limits::default()
    };
    let at = Box1::with(&pki, 1, pki.customer.leaf_v1("cluster"), limits);
    let client = at.tool(&pki).unwrap();
    let big = vec![0; 101 << 10];
    let error = client
        .ask(&Request::Seed { data: Hidden(&big) })
        .unwrap_err();
    assert_eq!(error.rv, Rv::DATA_LEN_RANGE, "{error}");
    client.ask(&Request::Random).unwrap();
    // Output beyond the limit cannot be had either; that is found by the node.
    let mut out = vec![0; 101 << 10];
    assert_eq!(
        client.call(S, &Request::Random, &mut out).unwrap_err().rv,
        Rv::DEVICE_REMOVED
    );
    until("it logs that", || at.logged("oversized frame"));
    at.tool(&pki).unwrap().ask(&Request::Random).unwrap();
}

#[test]
fn an_hsm_that_panics_costs_one_connection() {
    let pki = Pki::new();
    let at = Box1::new(&pki, 1);
    let client = at.tool(&pki).unwrap();
    let error = client
        .ask(&Request::Seed { data: Hidden(&[1]) })
        .unwrap_err();
    assert_eq!(error.rv, Rv::DEVICE_REMOVED);
    assert_eq!(
        client.ask(&Request::Random).unwrap_err().rv,
        Rv::DEVICE_REMOVED,
        "lost for good"
    );
    at.tool(&pki).unwrap().ask(&Request::Random).unwrap();
    until("its place is free again", || {
        at.node.as_ref().unwrap().connections() == 0
    });
}

#[test]
fn connections_are_limited_and_places_come_back() {
    let pki = Pki::new();
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let at = Box1::with(&pki, 1, pki.customer.leaf_v1("cluster"), limits);
    let login = |client: &hsm_net::NodeClient| {
        let (name, pin) = (Some("kmsuser"), Hidden(b"kmsPswd"));
        client
            .ask(&Request::Login {
                role: Role::Cu,
                name,
                pin,
            })
            .unwrap();
    };
    // Whoever has not logged in keeps nobody out.
    let (one, two) = (at.tool(&pki).unwrap(), at.tool(&pki).unwrap());
    login(&one);
    let three = at.tool(&pki).unwrap();
    assert!(at.logged("the oldest without a login is closed"));
    assert_eq!(
        two.ask(&Request::Random).unwrap_err().rv,
        Rv::DEVICE_REMOVED
    );
    one.ask(&Request::Random).unwrap();
    login(&three);
    assert_eq!(at.tool(&pki).err().unwrap().rv, Rv::TOKEN_NOT_PRESENT);
    assert!(at.logged("refused: too many connections"));
    drop(one);
    until("a place comes free", || {
        at.node.as_ref().unwrap().connections() == 1
    });
    at.tool(&pki).unwrap();
}

#[test]
fn a_login_counts_for_all_connections_of_its_application_until_the_logout() {
    let pki = Pki::new();
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let boxes = [Box1::with(&pki, 1, pki.customer.leaf_v1("cluster"), limits)];
    let at = &boxes[0];
    let link = open(config(&pki, &boxes)).unwrap();
    let ask = |request: &Request<'_>| link.call(S, request, &mut []);
    // Two connections, both from before the login, of which one carries it.
    at.faults.delay(Duration::from_millis(100));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| encrypt(&*link, ObjectId(1), b"not logged in").unwrap_err());
        }
    });
    at.faults.delay(Duration::ZERO);
    let connections = || at.node.as_ref().unwrap().connections();
    assert_eq!(connections(), 2);
    let (name, pin) = (Some("kmsuser"), Hidden(b"kmsPswd"));
    ask(&Request::Login {
        role: Role::Cu,
        name,
        pin,
    })
    .unwrap();
    assert_eq!(
        at.tool(&pki).err().map(|e| e.rv),
        Some(Rv::TOKEN_NOT_PRESENT),
        "both are a logged-in application's"
    );
    // The tool may know that its connection is closed before the node has written why.
    let refused = || at.logged("refused: too many connections");
    until("the node logs the refusal", refused);
    let made_room = || at.logged("the oldest without a login is closed");
    assert!(!made_room());
    ask(&Request::Logout).unwrap();
    let tool = at.tool(&pki).unwrap();
    until("the node logs that it made room", made_room);
    tool.ask(&Request::Random).unwrap();
}

#[test]
fn a_refusal_that_speaks_of_a_login_ends_none() {
    let pki = Pki::new();
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let at = Box1::with(&pki, 1, pki.customer.leaf_v1("cluster"), limits);
    let tools = [at.tool(&pki).unwrap(), at.tool(&pki).unwrap()];
    for tool in &tools {
        let (name, pin) = (Some("kmsuser"), Hidden(b"kmsPswd"));
        tool.ask(&Request::Login {
            role: Role::Cu,
            name,
            pin,
        })
        .unwrap();
    }
    let sign = Request::Crypt {
        op: Op::Sign,
        mech: Cow::Borrowed(&MECH),
        key: Some(Cow::Owned(KeyRef::by_id(ObjectId(1)))),
        data: Hidden(b"x"),
        signature: Hidden(&[]),
    };
    let refused = tools[0].ask(&sign).unwrap_err();
    assert_eq!(refused.rv, Rv::USER_NOT_LOGGED_IN);
    let third = at.tool(&pki).err().map(|e| e.rv);
    assert_eq!(third, Some(Rv::TOKEN_NOT_PRESENT), "both are logged in");
    assert!(!at.logged("the oldest without a login is closed"));
    // A login that ends without a request of its application's no longer holds the place.
    at.fake.forget_logins();
    at.tool(&pki).unwrap();
    assert!(at.logged("the oldest without a login is closed"));
}

#[test]
fn idle_and_silent_connections_are_closed() {
    let pki = Pki::new();
    let limits = Limits {
        greeting: Duration::from_millis(50),
        idle: Duration::from_millis(80),
        ..Limits::default()
    };
    let at = Box1::with(&pki, 1, pki.customer.leaf_v1("cluster"), limits);
    let mut silent = TcpStream::connect(at.client).unwrap();
    assert_eq!(
        silent.read(&mut [0]).unwrap(),
        0,
        "no greeting, no connection"
    );
    let client = at.tool(&pki).unwrap();
    until("the idle one is closed", || at.fake.links.load(SeqCst) == 0);
    assert_eq!(
        client.ask(&Request::Random).unwrap_err().rv,
        Rv::DEVICE_REMOVED
    );
}

#[test]
fn connections_of_one_application_share_a_link_and_its_login() {
    let rig = Rig::logged_in(1);
    let key = rig.key(1, false).unwrap();
    let fake = &rig.boxes[0].fake;
    rig.boxes[0].faults.delay(Duration::from_millis(30));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| rig.encrypt(key, b"together").unwrap());
        }
    });
    rig.boxes[0].faults.delay(Duration::ZERO);
    assert!(
        rig.boxes[0].node.as_ref().unwrap().connections() >= 4,
        "each thread had its own"
    );
    assert_eq!((fake.links.load(SeqCst), fake.count("Login")), (1, 1));
    // Another application sees neither the login nor the session object.
    let other = open(config(&rig.pki, &rig.boxes)).unwrap();
    assert_eq!(fake.links.load(SeqCst), 2);
    assert_eq!(
        encrypt(&*other, key, b"x").unwrap_err().rv,
        Rv::USER_NOT_LOGGED_IN
    );
    drop(rig.link);
    until("the link ends with its last connection", || {
        fake.links.load(SeqCst) == 1
    });
}

#[test]
fn shutdown_lets_a_request_end() {
    let pki = Pki::new();
    let at = Box1::new(&pki, 1);
    let client = at.tool(&pki).unwrap();
    at.faults.delay(Duration::from_millis(100));
    thread::scope(|scope| {
        let asking = scope.spawn(|| client.ask(&Request::Random));
        thread::sleep(Duration::from_millis(30));
        let begun = Instant::now();
        at.node.as_ref().unwrap().shutdown(Duration::from_secs(5));
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "it does not wait out the grace"
        );
        asking.join().unwrap().unwrap();
    });
    assert!(TcpStream::connect(at.client).is_err(), "the port is closed");
    assert_eq!(
        client.ask(&Request::Random).unwrap_err().rv,
        Rv::DEVICE_REMOVED
    );
}

#[test]
fn a_port_closed_by_fault_cuts_and_comes_back() {
    let pki = Pki::new();
    let at = Box1::new(&pki, 1);
    let client = at.tool(&pki).unwrap();
    at.faults.refuse(true);
    assert_eq!(
        client.ask(&Request::Random).unwrap_err().rv,
        Rv::DEVICE_REMOVED
    );
    assert_eq!(at.tool(&pki).err().unwrap().rv, Rv::TOKEN_NOT_PRESENT);
    at.faults.refuse(false);
    at.tool(&pki).unwrap().ask(&Request::Random).unwrap();
}

#[test]
fn management_tools_log_in_to_one_hsm() {
    let pki = Pki::new();
    let at = Box1::new(&pki, 1);
    let tool = at.tool(&pki).unwrap();
    let login = |password| Request::Login {
        role: Role::Cu,
        name: Some("kmsuser"),
        pin: Hidden(password),
    };
    let error = tool.ask(&login(b"no")).unwrap_err();
    assert_eq!(error.rv, Rv::PIN_INCORRECT);
    assert!(error.why.contains(&at.management.to_string()), "{error}");
    tool.ask(&login(b"kmsPswd")).unwrap();
}
