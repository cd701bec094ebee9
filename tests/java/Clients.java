// What Java programs do with a PKCS#11 token through SunPKCS11: java Clients.java CONFIG PIN PKCS12
// CONFIG is SunPKCS11's, PKCS12 a key store `soft` (password 123456, alias soft) made by keytool. The token holds the key
// `tls`, made by keytool. Each part prints its name when it is done; anything unexpected is an exception and status 1.

import java.io.*;
import java.math.BigInteger;
import java.net.InetAddress;
import java.nio.file.*;
import java.security.*;
import java.security.cert.Certificate;
import java.security.spec.*;
import java.util.*;
import java.util.concurrent.*;
import javax.crypto.*;
import javax.crypto.spec.*;
import javax.net.ssl.*;

public class Clients {
    static Provider p11;
    static KeyStore store;
    static char[] pin;

    static void check(boolean truth, String what) {
        if (!truth) throw new IllegalStateException(what);
    }

    public static void main(String[] args) throws Exception {
        p11 = Security.getProvider("SunPKCS11").configure(args[0]);
        Security.addProvider(p11);
        pin = args[1].toCharArray();
        store = KeyStore.getInstance("PKCS11", p11);
        store.load(null, pin);
        keyStore(args[2]);
        signatures();
        ciphers();
        macs();
        agreement();
        random();
        threads();
        for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) tls(version);
        System.out.println("all");
    }

    static void keyStore(String file) throws Exception {
        KeyStore soft = KeyStore.getInstance(new File(file), "123456".toCharArray());
        Key key = soft.getKey("soft", "123456".toCharArray());
        Certificate[] chain = soft.getCertificateChain("soft");
        store.setKeyEntry("stored", key, null, chain);
        SecretKey secret = new SecretKeySpec(new byte[32], "AES");
        store.setKeyEntry("secret", secret, null, null);
        // Another view of the token sees what was stored, and keys that sign.
        KeyStore again = KeyStore.getInstance("PKCS11", p11);
        again.load(null, pin);
        List<String> aliases = Collections.list(again.aliases());
        check(aliases.contains("stored") && aliases.contains("secret") && aliases.contains("tls"), "aliases " + aliases);
        check(Arrays.equals(again.getCertificateChain("stored"), chain), "chain");
        PrivateKey stored = (PrivateKey) again.getKey("stored", null);
        sign("SHA256withRSA", null, stored, chain[0].getPublicKey());
        again.deleteEntry("stored");
        again.deleteEntry("secret");
        again.load(null, pin);
        aliases = Collections.list(again.aliases());
        check(!aliases.contains("stored") && !aliases.contains("secret") && aliases.contains("tls"), "aliases " + aliases);
        System.out.println("KeyStore");
    }

    // Signed in the token, verified by the token and by Java's own provider.
    static void sign(String name, AlgorithmParameterSpec params, PrivateKey key, PublicKey pub) throws Exception {
        byte[] data = new byte[5000];
        new Random(1).nextBytes(data);
        Signature signer = Signature.getInstance(name, p11);
        if (params != null) signer.setParameter(params);
        signer.initSign(key);
        signer.update(data, 0, 1000);
        signer.update(data, 1000, 4000);
        byte[] signature = signer.sign();
        String own = name.contains("ECDSA") ? "SunEC" : "SunRsaSign";
        for (Provider by : new Provider[] {p11, Security.getProvider(own)}) {
            Signature verifier = Signature.getInstance(name, by);
            if (params != null) verifier.setParameter(params);
            PublicKey at = pub;
            if (by != p11) at = KeyFactory.getInstance(pub.getAlgorithm(), own).generatePublic(new X509EncodedKeySpec(pub.getEncoded()));
            verifier.initVerify(at);
            verifier.update(data);
            check(verifier.verify(signature), name + " by " + by.getName());
            data[7] ^= 1;
            verifier.initVerify(at);
            verifier.update(data);
            check(!verifier.verify(signature), name + " of something else by " + by.getName());
            data[7] ^= 1;
        }
    }

    static KeyPair pair(String kind, AlgorithmParameterSpec params) throws Exception {
        KeyPairGenerator maker = KeyPairGenerator.getInstance(kind, p11);
        maker.initialize(params);
        return maker.generateKeyPair();
    }

    static void signatures() throws Exception {
        KeyPair rsa = pair("RSA", new RSAKeyGenParameterSpec(2048, RSAKeyGenParameterSpec.F4));
        for (String hash : new String[] {"SHA1", "SHA224", "SHA256", "SHA384", "SHA512"})
            sign(hash + "withRSA", null, rsa.getPrivate(), rsa.getPublic());
        for (String hash : new String[] {"SHA-256", "SHA-384", "SHA-512"}) {
            int salt = Integer.parseInt(hash.substring(4)) / 8;
            sign("RSASSA-PSS", new PSSParameterSpec(hash, "MGF1", new MGF1ParameterSpec(hash), salt, 1), rsa.getPrivate(), rsa.getPublic());
        }
        for (String curve : new String[] {"secp256r1", "secp384r1", "secp521r1"}) {
            KeyPair ec = pair("EC", new ECGenParameterSpec(curve));
            for (String hash : new String[] {"SHA256", "SHA384", "SHA512"})
                // Again and again: Java shortens a signature when both its halves begin with a zero.
                for (int i = 0; i < 8; i++) sign(hash + "withECDSA", null, ec.getPrivate(), ec.getPublic());
        }
        System.out.println("Signature");
    }

    static void ciphers() throws Exception {
        KeyGenerator maker = KeyGenerator.getInstance("AES", p11);
        byte[] iv = new byte[16], data = new byte[4096 + 16];
        new Random(2).nextBytes(data);
        for (int bits : new int[] {128, 256}) {
            maker.init(bits);
            byte[] raw = new byte[bits / 8];
            new Random(3).nextBytes(raw);
            SecretKey made = maker.generateKey(), known = new SecretKeySpec(raw, "AES");
            for (String name : new String[] {"AES/CBC/NoPadding", "AES/CBC/PKCS5Padding", "AES/CTR/NoPadding", "AES/ECB/NoPadding", "AES/GCM/NoPadding"}) {
                boolean gcm = name.contains("GCM");
                AlgorithmParameterSpec params = gcm ? new GCMParameterSpec(128, iv, 0, 12)
                    : name.contains("ECB") ? null : new IvParameterSpec(iv);
                for (SecretKey key : new SecretKey[] {made, known}) {
                    byte[] sealed = run(name, p11, Cipher.ENCRYPT_MODE, key, params, data, gcm);
                    check(Arrays.equals(run(name, p11, Cipher.DECRYPT_MODE, key, params, sealed, gcm), data), name);
                    if (key == known)
                        check(Arrays.equals(run(name, Security.getProvider("SunJCE"), Cipher.ENCRYPT_MODE, key, params, data, gcm), sealed), name + " as SunJCE");
                    if (gcm) {
                        sealed[5] ^= 1;
                        try {
                            run(name, p11, Cipher.DECRYPT_MODE, key, params, sealed, true);
                            check(false, "a changed ciphertext opens");
                        } catch (AEADBadTagException expected) { }
                    }
                }
                iv[0]++; // GCM: never the same IV again under one key
            }
        }
        KeyPair rsa = pair("RSA", new RSAKeyGenParameterSpec(2048, RSAKeyGenParameterSpec.F4));
        Cipher cipher = Cipher.getInstance("RSA/ECB/PKCS1Padding", p11);
        cipher.init(Cipher.ENCRYPT_MODE, rsa.getPublic());
        byte[] sealed = cipher.doFinal(raw32());
        cipher.init(Cipher.DECRYPT_MODE, rsa.getPrivate());
        check(Arrays.equals(cipher.doFinal(sealed), raw32()), "RSA");
        SecretKey aes = maker.generateKey();
        cipher.init(Cipher.WRAP_MODE, rsa.getPublic());
        byte[] wrapped = cipher.wrap(new SecretKeySpec(raw32(), "AES"));
        cipher.init(Cipher.UNWRAP_MODE, rsa.getPrivate());
        Key unwrapped = cipher.unwrap(wrapped, "AES", Cipher.SECRET_KEY);
        byte[] zero = new byte[16];
        check(Arrays.equals(run("AES/ECB/NoPadding", p11, Cipher.ENCRYPT_MODE, unwrapped, null, zero, false),
            run("AES/ECB/NoPadding", Security.getProvider("SunJCE"), Cipher.ENCRYPT_MODE, new SecretKeySpec(raw32(), "AES"), null, zero, false)), "unwrapped");
        System.out.println("Cipher");
    }

    static byte[] raw32() {
        byte[] raw = new byte[32];
        Arrays.fill(raw, (byte) 7);
        return raw;
    }

    static byte[] run(String name, Provider by, int mode, Key key, AlgorithmParameterSpec params, byte[] data, boolean gcm) throws Exception {
        Cipher cipher = Cipher.getInstance(name, by);
        if (params == null) cipher.init(mode, key); else cipher.init(mode, key, params);
        if (gcm) cipher.updateAAD("bound".getBytes());
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        // Java 17's GCM loses what doFinal gets when update was called before it (with SoftHSM2 2.6.1 too): one part.
        int at = gcm || data.length <= 100 ? 0 : 100;
        byte[] part = at == 0 ? null : cipher.update(data, 0, at);
        if (part != null) out.write(part);
        out.write(cipher.doFinal(data, at, data.length - at));
        return out.toByteArray();
    }

    static void macs() throws Exception {
        for (String name : new String[] {"HmacSHA1", "HmacSHA224", "HmacSHA256", "HmacSHA384", "HmacSHA512"}) {
            byte[][] both = new byte[2][];
            Provider[] by = {p11, Security.getProvider("SunJCE")};
            for (int i = 0; i < 2; i++) {
                Mac mac = Mac.getInstance(name, by[i]);
                mac.init(new SecretKeySpec(raw32(), name));
                mac.update("one ".getBytes());
                both[i] = mac.doFinal("two".getBytes());
            }
            check(Arrays.equals(both[0], both[1]), name);
        }
        for (String name : new String[] {"SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512"})
            check(Arrays.equals(MessageDigest.getInstance(name, p11).digest(raw32()), MessageDigest.getInstance(name, "SUN").digest(raw32())), name);
        System.out.println("Mac");
    }

    static void agreement() throws Exception {
        for (String curve : new String[] {"secp256r1", "secp384r1"}) {
            KeyPair ours = pair("EC", new ECGenParameterSpec(curve));
            KeyPairGenerator maker = KeyPairGenerator.getInstance("EC", "SunEC");
            maker.initialize(new ECGenParameterSpec(curve));
            KeyPair theirs = maker.generateKeyPair();
            KeyAgreement a = KeyAgreement.getInstance("ECDH", p11), b = KeyAgreement.getInstance("ECDH", "SunEC");
            a.init(ours.getPrivate());
            a.doPhase(theirs.getPublic(), true);
            b.init(theirs.getPrivate());
            b.doPhase(KeyFactory.getInstance("EC", "SunEC").generatePublic(new X509EncodedKeySpec(ours.getPublic().getEncoded())), true);
            check(Arrays.equals(a.generateSecret(), b.generateSecret()), "ECDH " + curve);
        }
        System.out.println("KeyAgreement");
    }

    static void random() throws Exception {
        SecureRandom random = SecureRandom.getInstance("PKCS11", p11);
        byte[] a = new byte[64], b = new byte[64];
        random.nextBytes(a);
        random.setSeed(a);
        random.nextBytes(b);
        check(!Arrays.equals(a, b) && !Arrays.equals(a, new byte[64]), "random");
        System.out.println("SecureRandom");
    }

    static void threads() throws Exception {
        PrivateKey key = (PrivateKey) store.getKey("tls", null);
        PublicKey pub = store.getCertificate("tls").getPublicKey();
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < 8; i++)
            all.add(pool.submit(() -> {
                for (int n = 0; n < 10; n++) {
                    sign("SHA256withRSA", null, key, pub);
                    KeyPair ec = pair("EC", new ECGenParameterSpec("secp256r1"));
                    sign("SHA256withECDSA", null, ec.getPrivate(), ec.getPublic());
                }
                return null;
            }));
        for (Future<?> one : all) one.get();
        pool.shutdown();
        System.out.println("threads");
    }

    static void tls(String version) throws Exception {
        KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(store, null);
        KeyStore anchors = KeyStore.getInstance("PKCS12");
        anchors.load(null, null);
        anchors.setCertificateEntry("tls", store.getCertificate("tls"));
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(anchors);
        SSLContext serving = SSLContext.getInstance("TLS"), asking = SSLContext.getInstance("TLS");
        serving.init(keys.getKeyManagers(), null, null);
        asking.init(null, trust.getTrustManagers(), null);
        int rounds = 16;
        ExecutorService pool = Executors.newCachedThreadPool();
        try (SSLServerSocket server = (SSLServerSocket) serving.getServerSocketFactory().createServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            server.setEnabledProtocols(new String[] {version});
            Future<?> accepting = pool.submit(() -> {
                List<Future<?>> served = new ArrayList<>();
                for (int i = 0; i < rounds; i++) {
                    SSLSocket socket = (SSLSocket) server.accept();
                    served.add(pool.submit(() -> {
                        try (socket) {
                            socket.getOutputStream().write(socket.getInputStream().read() + 1);
                        }
                        return null;
                    }));
                }
                for (Future<?> one : served) one.get();
                return null;
            });
            List<Future<?>> clients = new ArrayList<>();
            for (int i = 0; i < rounds; i++) {
                int said = i;
                // A context of its own for each: no session to resume, so every handshake uses the key.
                SSLContext fresh = SSLContext.getInstance("TLS");
                fresh.init(null, trust.getTrustManagers(), null);
                clients.add(pool.submit(() -> {
                    try (SSLSocket socket = (SSLSocket) fresh.getSocketFactory().createSocket(InetAddress.getLoopbackAddress(), server.getLocalPort())) {
                        socket.getOutputStream().write(said);
                        check(socket.getInputStream().read() == said + 1, "answer");
                        check(socket.getSession().getProtocol().equals(version), version);
                    }
                    return null;
                }));
            }
            for (Future<?> one : clients) one.get(60, TimeUnit.SECONDS);
            accepting.get(60, TimeUnit.SECONDS);
        }
        pool.shutdown();
        System.out.println(version);
    }
}
