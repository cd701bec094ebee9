//! Frames survive the round trip, and no bytes make their reader panic or take memory on trust.

use std::borrow::Cow;
use std::io::Cursor;

use hsm_api::reply::{AttrReply, Certificates, KeyInfo, NodeInfo, Offered, TokenInfo};
use hsm_api::{
    Attr, AttrType, Change, Class, Hidden, KeyFacts, KeyRef, KeyType, MechId, Mechanism, ObjectId,
    Op, Params, Peer, Phase, Role, Rv, Secret, StreamId, UserInfo, Uses, Value,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

fn id() -> impl Strategy<Value = ObjectId> {
    any::<u128>().prop_map(ObjectId)
}

fn attr() -> impl Strategy<Value = Attr> {
    let value = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<u64>().prop_map(Value::Ulong),
        bytes().prop_map(Value::Bytes),
        vec(any::<u64>(), 0..5).prop_map(Value::Mechs),
    ];
    let value = value.prop_recursive(2, 8, 3, |inner| {
        let attr = (any::<u64>(), inner).prop_map(|(ty, value)| Attr {
            ty: AttrType(ty),
            value,
        });
        vec(attr, 0..3).prop_map(Value::Template)
    });
    (any::<u64>(), value).prop_map(|(ty, value)| Attr {
        ty: AttrType(ty),
        value,
    })
}

fn mech() -> impl Strategy<Value = Mechanism<'static>> {
    let params = prop_oneof![
        Just(Params::None),
        bytes().prop_map(|iv| Params::Iv(iv.into())),
        (any::<u32>(), any::<[u8; 16]>()).prop_map(|(bits, block)| Params::Ctr { bits, block }),
        (bytes(), bytes(), any::<u32>()).prop_map(|(iv, aad, tag_bits)| Params::Gcm {
            iv: iv.into(),
            aad: aad.into(),
            tag_bits
        }),
        (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(hash, mgf, salt_len)| Params::Pss {
            hash: MechId(hash),
            mgf,
            salt_len
        }),
        id().prop_map(Params::Key),
    ];
    (any::<u64>(), params).prop_map(|(id, params)| Mechanism {
        id: MechId(id),
        params,
    })
}

fn change() -> impl Strategy<Value = Change> {
    (
        id(),
        any::<u64>(),
        any::<u64>(),
        proptest::option::of(bytes()),
        bytes(),
    )
        .prop_map(|(id, version, origin, sealed, tag)| Change {
            id,
            version,
            origin,
            sealed,
            tag,
        })
}

/// What a random request is built from; requests borrow.
#[derive(Debug, Clone)]
struct Parts {
    which: u8,
    one: ObjectId,
    two: ObjectId,
    number: u64,
    data: Vec<u8>,
    more: Vec<u8>,
    text: String,
    attrs: Vec<Attr>,
    mech: Mechanism<'static>,
    changes: Vec<Change>,
}

fn parts() -> impl Strategy<Value = Parts> {
    let scalars = (any::<u8>(), id(), id(), any::<u64>());
    let blobs = (bytes(), bytes(), ".{0,40}");
    let lists = (vec(attr(), 0..4), mech(), vec(change(), 0..4));
    (scalars, blobs, lists).prop_map(
        |((which, one, two, number), (data, more, text), (attrs, mech, changes))| Parts {
            which,
            one,
            two,
            number,
            data,
            more,
            text,
            attrs,
            mech,
            changes,
        },
    )
}

fn request(p: &Parts) -> Request<'_> {
    use Request as R;
    let (data, more) = (Hidden(&p.data), Hidden(&p.more));
    let stream = StreamId(p.number);
    let template = || p.attrs.clone();
    let mech = || p.mech.clone();
    let key = KeyRef::by_id(p.one);
    match p.which % 26 {
        0 => R::TokenInfo,
        1 => R::InitToken {
            so_pin: data,
            label: &p.text,
        },
        2 => R::SetPin {
            old: data,
            new: more,
            phase: Phase::Prepare,
        },
        3 => R::Login {
            role: Role::Cu,
            name: Some(&p.text),
            pin: data,
        },
        4 => R::Login {
            role: Role::Co,
            name: None,
            pin: data,
        },
        5 => R::Create {
            id: p.one,
            template: template(),
        },
        6 => R::Copy {
            from: p.one,
            id: p.two,
            template: template(),
        },
        7 => R::Destroy { id: p.one },
        8 => R::Attributes {
            id: p.one,
            types: p.attrs.iter().map(|a| a.ty).collect(),
        },
        9 => R::Find {
            template: template(),
        },
        10 => R::GenerateKey {
            mech: mech(),
            id: p.one,
            template: template(),
        },
        11 => R::GenerateKeyPair {
            mech: mech(),
            public: p.one,
            public_template: template(),
            private: p.two,
            private_template: template(),
        },
        12 => R::Wrap {
            mech: mech(),
            with: key,
            key: p.two,
            aad: data,
        },
        13 => R::Unwrap {
            mech: mech(),
            with: key,
            wrapped: data,
            aad: more,
            id: p.two,
            template: template(),
        },
        14 => R::Derive {
            mech: mech(),
            base: key,
            id: p.two,
            template: template(),
        },
        15 => R::Crypt {
            op: Op::Verify,
            mech: Cow::Borrowed(&p.mech),
            key: Some(Cow::Owned(key)),
            data,
            signature: more,
        },
        16 => R::Begin {
            stream,
            op: Op::Digest,
            mech: Cow::Borrowed(&p.mech),
            key: None,
        },
        17 => R::Update { stream, data },
        18 => R::Finish {
            stream,
            signature: data,
        },
        19 => R::Seed { data },
        20 => R::CreateUser {
            role: Role::Cu,
            name: &p.text,
            password: data,
        },
        21 => R::Export {
            ids: vec![p.one, p.two],
        },
        22 => R::Apply {
            changes: p.changes.clone(),
        },
        23 => R::Install {
            certificate: &p.text,
            anchor: &p.text,
        },
        24 => R::Share {
            key: p.one,
            user: 7,
            share: true,
        },
        _ => R::Restore { backup: data },
    }
}

fn reply(p: &Parts) -> Result<Reply, Error> {
    let text = || p.text.clone();
    Ok(match p.which % 19 {
        0 => return Err(Error::new(Rv::PIN_INCORRECT, text())),
        1 => Reply::Done,
        2 => Reply::Bytes(p.data.clone()),
        3 => Reply::Token(TokenInfo {
            label: text(),
            serial: text(),
            model: text(),
            initialized: true,
            user_pin_set: false,
            user_failures: 1,
            user_locked: false,
            so_failures: 2,
            so_locked: true,
            max_failures: 5,
            min_pin: 4,
            max_pin: 255,
        }),
        4 => Reply::Mechanisms(vec![
            Offered {
                mech: p.number,
                flags: p.number,
            };
            3
        ]),
        5 => Reply::Made {
            changes: p.changes.clone(),
            written: p.data.len(),
        },
        6 => Reply::Key(
            KeyRef::by_id(p.one),
            KeyFacts {
                class: Class(3),
                key_type: KeyType(p.number),
                bits: 256,
                sub_bits: 160,
                uses: Uses::ENCRYPT,
                token: true,
                private: true,
                modifiable: false,
                always_authenticate: false,
                allowed: Some(vec![p.number]),
                named_curve: true,
            },
        ),
        7 => Reply::Attributes(
            p.attrs
                .iter()
                .map(|attr| AttrReply::Is(attr.clone()))
                .chain([AttrReply::Withheld(
                    AttrType(p.number),
                    Rv::ATTRIBUTE_SENSITIVE,
                )])
                .collect(),
        ),
        8 => Reply::Objects(vec![p.one, p.two]),
        9 => Reply::Size(p.number),
        10 => Reply::Users(vec![UserInfo {
            id: 1,
            role: Role::Au,
            name: text(),
            failures: 0,
            locked: false,
            second_factor: false,
            quorum_key: true,
            logged_in: 3,
        }]),
        11 => Reply::Node(NodeInfo {
            hsm_id: text(),
            serial: text(),
            origin: p.number,
            installed: true,
            activated: false,
            objects: 5,
            fips: true,
        }),
        12 => Reply::Keys(vec![KeyInfo {
            id: p.one,
            handle: p.number,
            owner: 3,
            shared: vec![1, 2],
            hash: [7; 32],
        }]),
        13 => Reply::Digest(vec![(p.one, p.number, 1), (p.two, 2, p.number)]),
        14 => Reply::Changes(p.changes.clone()),
        15 => Reply::Csr(Certificates {
            csr: text(),
            hsm: text(),
            aws_hardware: text(),
            manufacturer_hardware: text(),
            cluster: Some(text()),
        }),
        _ => Reply::Written(p.data.len()),
    })
}

fn request_frame(p: &Parts) -> (RequestHead, Vec<u8>) {
    let head = RequestHead {
        id: p.number,
        session: SessionId(p.number ^ 1),
        deadline_ms: 30_000,
        out: u32::from(p.which),
    };
    let mut frame = Vec::new();
    put_request(head, &request(p), usize::MAX, &mut frame).unwrap();
    (head, frame)
}

fn reply_frame(p: &Parts) -> (usize, Vec<u8>) {
    let result = reply(p);
    let mut frame = Vec::new();
    begin_reply(p.data.len() + 10, &mut frame);
    output(&mut frame)[..p.data.len()].copy_from_slice(&p.data);
    let count = written(&result);
    end_reply(p.number, count, &result, &mut frame).unwrap();
    (count, frame)
}

/// What arrives is what was sent, byte for byte: encoding is one to one, so equal frames are equal
/// values, also of the types that have no equality of their own.
fn arrived(frame: &[u8]) -> Vec<u8> {
    let mut from = Cursor::new(frame);
    let len = read_len(&mut from, frame.len()).unwrap();
    let mut body = vec![0xEE; 7];
    read_body(&mut from, len, &mut body).unwrap();
    assert_eq!(&frame[LEN..], body);
    body
}

#[test]
fn what_can_never_be_sent_is_not_copied() {
    let data = vec![0; 1 << 20];
    let request = Request::Update {
        stream: StreamId(1),
        data: Hidden(&data),
    };
    let head = RequestHead {
        id: 1,
        session: SessionId(1),
        deadline_ms: 1,
        out: 0,
    };
    let mut frame = Vec::new();
    let whole = data.len() + REQUEST_HEAD;
    match put_request(head, &request, whole, &mut frame) {
        Err(Broken::Oversized(len)) => assert!(len > whole && len < whole + 16, "{len}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(frame.capacity(), 0);
    put_request(head, &request, whole + 16, &mut frame).unwrap();
    assert!(frame.len() > whole);
}

proptest! {
    #[test]
    fn requests_round_trip(p in parts()) {
        let (head, frame) = request_frame(&p);
        let body = arrived(&frame);
        let (head_again, again) = take_request(&body).unwrap();
        prop_assert_eq!(head, head_again);
        prop_assert_eq!(format!("{:?}", request(&p)), format!("{again:?}"));
        let mut frame_again = Vec::new();
        put_request(head_again, &again, usize::MAX, &mut frame_again).unwrap();
        prop_assert_eq!(frame, frame_again);
    }

    #[test]
    fn replies_round_trip(p in parts()) {
        let (count, frame) = reply_frame(&p);
        let body = arrived(&frame);
        let (id, out, again) = take_reply(&body).unwrap();
        prop_assert_eq!((id, out), (p.number, &p.data[..count]));
        let mut frame_again = Vec::new();
        begin_reply(count, &mut frame_again);
        output(&mut frame_again).copy_from_slice(out);
        end_reply(id, count, &again, &mut frame_again).unwrap();
        prop_assert_eq!(frame, frame_again);
    }

    #[test]
    fn truncated_and_lengthened_bodies_are_refused(p in parts(), cut in any::<prop::sample::Index>()) {
        let mut body = request_frame(&p).1.split_off(LEN);
        prop_assert!(take_request(&body[..cut.index(body.len())]).is_err());
        body.push(0);
        prop_assert!(take_request(&body).is_err());
        let mut body = reply_frame(&p).1.split_off(LEN);
        prop_assert!(take_reply(&body[..cut.index(body.len())]).is_err());
        body.push(0);
        prop_assert!(take_reply(&body).is_err());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(p in parts(), flip in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        for mut frame in [request_frame(&p).1, reply_frame(&p).1] {
            for (at, to) in &flip {
                let at = at.index(frame.len());
                frame[at] = *to;
            }
            let _ = take_request(&frame);
            let _ = take_request(&frame[LEN..]);
            let _ = take_reply(&frame[LEN..]);
            let _ = take::<Greeting>(&frame[LEN..]);
            let _ = take::<Result<Welcome, Error>>(&frame[LEN..]);
        }
    }

    #[test]
    fn secrets_round_trip(data in bytes()) {
        let mut frame = Vec::new();
        put(&Secret::new(data.clone()), &mut frame).unwrap();
        let again: Secret = take(&frame[LEN..]).unwrap();
        prop_assert_eq!(again.expose(), &data[..]);
    }
}

#[test]
fn memory_is_taken_as_bytes_arrive() {
    let announced = 1 << 30;
    let mut body = Vec::new();
    let mut from = Cursor::new(vec![7; 100]);
    assert!(matches!(
        read_body(&mut from, announced, &mut body),
        Err(Broken::Io(_))
    ));
    assert!(body.capacity() <= 2 * STEP, "{}", body.capacity());
}

#[test]
fn nesting_without_end_is_refused() {
    // Create with a template that holds a template that holds ... : type 0, variant 3, one element.
    let mut body = vec![0; REQUEST_HEAD];
    let create = postcard::to_allocvec(&Request::Create {
        id: ObjectId(0),
        template: Vec::new(),
    });
    body.extend(&create.unwrap()[..2]);
    for _ in 0..1_000_000 {
        body.extend([1, 0, 3]);
    }
    assert!(matches!(take_request(&body), Err(Broken::Garbled(_))));
}

#[test]
fn lengths_and_ends_are_told_apart() {
    let read = |bytes: &[u8]| read_len(&mut Cursor::new(bytes.to_vec()), 100);
    assert!(matches!(read(&[]), Err(Broken::Closed)));
    assert!(matches!(read(&[1, 0]), Err(Broken::Io(_))));
    assert!(matches!(read(&[101, 0, 0, 0]), Err(Broken::Oversized(101))));
    assert_eq!(read(&[100, 0, 0, 0]).unwrap(), 100);
}

#[test]
fn versions_are_told_apart() {
    let read = |bytes: [u8; 8]| read_preamble(&mut Cursor::new(bytes.to_vec()));
    read(preamble()).unwrap();
    let mut next = preamble();
    next[4] = 9;
    assert!(matches!(read(next), Err(Broken::Version(9))));
    assert!(matches!(read(*b"GET / HT"), Err(Broken::Garbled(_))));
}

#[test]
fn greetings_round_trip() {
    for (purpose, peer) in [
        (Purpose::Client, Peer::Client),
        (Purpose::Service, Peer::Node),
    ] {
        let hello = Hello {
            application: u128::MAX,
            peer,
        };
        let mut frame = Vec::new();
        put(
            &Greeting {
                purpose,
                hello: hello.clone(),
            },
            &mut frame,
        )
        .unwrap();
        let again: Greeting = take(&frame[LEN..]).unwrap();
        assert_eq!((again.purpose, again.hello), (purpose, hello));
        assert!(frame.len() <= GREETING_LIMIT);
    }
}

#[test]
fn a_frame_is_encoded_in_memory_taken_at_once() {
    let pin = [7; 1000];
    let request = Request::InitPin { pin: Hidden(&pin) };
    assert!(holds_secret(&request));
    let mut to = Vec::with_capacity(LEN);
    put(&request, &mut to).unwrap();
    // Growth by doubling, byte by byte, would have ended elsewhere.
    assert_eq!(to.capacity(), to.len());
}
