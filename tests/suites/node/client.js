// A Node client that does a day's work on a token through graphene-pk11: keys, signatures, encryption, search.
// usage: node client.js MODULE LABEL PIN; graphene is found through NODE_PATH. Prints JSON.
"use strict";
const assert = require("assert");
const crypto = require("crypto");
const graphene = require("graphene-pk11");

const [file, label, pin] = process.argv.slice(2);
const module_ = graphene.Module.load(file, "Keystead");
module_.initialize();
try {
  const slots = module_.getSlots(true);
  let slot;
  for (let i = 0; i < slots.length; i++) {
    if (slots.items(i).getToken().label.trim() === label) slot = slots.items(i);
  }
  assert(slot, `no token is called ${label}`);
  const session = slot.open(graphene.SessionFlag.RW_SESSION | graphene.SessionFlag.SERIAL_SESSION);
  assert.throws(() => session.login("cu1:wrong-pin"), /CKR_PIN_INCORRECT/);
  session.login(pin);
  const message = Buffer.from("signed from Node");

  const rsa = session.generateKeyPair(graphene.KeyGenMechanism.RSA, {
    token: true, label: "node-rsa", id: Buffer.from([1]), verify: true, encrypt: true, modulusBits: 2048,
    publicExponent: Buffer.from([1, 0, 1]),
  }, { token: true, private: true, label: "node-rsa", id: Buffer.from([1]), sign: true, decrypt: true, sensitive: true, extractable: false });
  const signer = session.createSign("SHA256_RSA_PKCS", rsa.privateKey);
  signer.update(message.subarray(0, 4));
  signer.update(message.subarray(4));
  const signature = signer.final();
  const verifier = session.createVerify("SHA256_RSA_PKCS", rsa.publicKey);
  verifier.update(message);
  assert(verifier.final(signature), "the token accepts its own signature");
  const numbers = rsa.publicKey.getAttribute({ modulus: null, publicExponent: null });
  const jwk = { kty: "RSA", n: numbers.modulus.toString("base64url"), e: numbers.publicExponent.toString("base64url") };
  const theirs = crypto.createPublicKey({ key: jwk, format: "jwk" });
  assert(crypto.verify("sha256", message, theirs, signature), "Node's own crypto accepts it");
  assert(!crypto.verify("sha256", Buffer.from("another"), theirs, signature));
  const sealed = crypto.publicEncrypt({ key: theirs, oaepHash: "sha256", padding: crypto.constants.RSA_PKCS1_OAEP_PADDING }, message);
  const oaep = { name: "RSA_PKCS_OAEP", params: new graphene.RsaOaepParams(graphene.MechanismEnum.SHA256, graphene.RsaMgf.MGF1_SHA256) };
  const opened = session.createDecipher(oaep, rsa.privateKey).once(sealed, Buffer.alloc(256));
  assert.deepStrictEqual(opened, message);

  const ec = session.generateKeyPair(graphene.KeyGenMechanism.EC, {
    token: true, label: "node-ec", verify: true, paramsECDSA: graphene.NamedCurve.getByName("secp256r1").value,
  }, { token: true, private: true, label: "node-ec", sign: true });
  const digest = crypto.createHash("sha256").update(message).digest();
  const rs = session.createSign("ECDSA", ec.privateKey).once(digest);
  assert(session.createVerify("ECDSA", ec.publicKey).once(digest, rs));
  const point = ec.publicKey.getAttribute({ pointEC: null }).pointEC.subarray(-64);
  const ecJwk = { kty: "EC", crv: "P-256", x: point.subarray(0, 32).toString("base64url"), y: point.subarray(32).toString("base64url") };
  assert(crypto.verify("sha256", message, { key: crypto.createPublicKey({ key: ecJwk, format: "jwk" }), dsaEncoding: "ieee-p1363" }, rs));

  const aes = session.generateKey(graphene.KeyGenMechanism.AES, {
    token: true, label: "node-aes", valueLen: 32, encrypt: true, decrypt: true, sensitive: true, extractable: false,
  });
  const iv = crypto.randomBytes(16);
  const cipher = session.createCipher({ name: "AES_CBC_PAD", params: iv }, aes);
  const secret = Buffer.concat([cipher.update(message), cipher.final()]);
  const decipher = session.createDecipher({ name: "AES_CBC_PAD", params: iv }, aes);
  assert.deepStrictEqual(Buffer.concat([decipher.update(secret), decipher.final()]), message);
  const gcm = { name: "AES_GCM", params: new graphene.AesGcm240Params(crypto.randomBytes(12), Buffer.from("aad"), 128) };
  const boxed = session.createCipher(gcm, aes).once(message, Buffer.alloc(64));
  assert.strictEqual(boxed.length, message.length + 16);
  assert.deepStrictEqual(session.createDecipher(gcm, aes).once(boxed, Buffer.alloc(64)), message);
  boxed[0] ^= 1;
  assert.throws(() => session.createDecipher(gcm, aes).once(boxed, Buffer.alloc(64)), /CKR_ENCRYPTED_DATA_INVALID/);
  assert.throws(() => aes.getAttribute({ value: null }), /CKR_ATTRIBUTE_SENSITIVE/);

  const hash = session.createDigest("sha256");
  hash.update(message);
  assert.deepStrictEqual(hash.final(), digest);
  assert.notDeepStrictEqual(session.generateRandom(32), session.generateRandom(32));

  const found = [];
  session.find((o) => { found.push(o.getAttribute({ label: null }).label); });
  session.find({ label: "node-aes" }).items(0).destroy();
  assert.strictEqual(session.find({ label: "node-aes" }).length, 0);
  session.logout();
  session.close();
  console.log(JSON.stringify({ found: found.sort() }));
} finally {
  module_.finalize();
}
