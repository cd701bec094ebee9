// A Go client that does a day's work on a token through ThalesIgnite's crypto11: keys, signatures, decryption, AES-GCM, and a
// TLS server whose key stays in the token.
// usage: client MODULE LABEL PIN
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ThalesIgnite/crypto11"
)

func must(err error, doing string) {
	if err != nil {
		log.Fatalf("%s: %v", doing, err)
	}
}

func check(right bool, what string) {
	if !right {
		log.Fatal(what)
	}
}

func main() {
	log.SetFlags(0)
	config := &crypto11.Config{Path: os.Args[1], TokenLabel: os.Args[2], Pin: os.Args[3]}
	wrong := *config
	wrong.Pin = "cu1:wrong-pin"
	_, err := crypto11.Configure(&wrong)
	check(err != nil, "a wrong PIN is taken")
	token, err := crypto11.Configure(config)
	must(err, "configure")

	digest := sha256.Sum256([]byte("signed from Go"))
	rsaKey, err := token.GenerateRSAKeyPairWithLabel([]byte{1}, []byte("go-rsa"), 2048)
	must(err, "generate an RSA key")
	public := rsaKey.Public().(*rsa.PublicKey)
	signature, err := rsaKey.Sign(rand.Reader, digest[:], crypto.SHA256)
	must(err, "sign PKCS#1")
	must(rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature), "verify PKCS#1")
	pss := &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
	signature, err = rsaKey.Sign(rand.Reader, digest[:], pss)
	must(err, "sign PSS")
	must(rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, pss), "verify PSS")
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, []byte("sealed"), nil)
	must(err, "encrypt OAEP")
	opened, err := rsaKey.Decrypt(rand.Reader, sealed, &rsa.OAEPOptions{Hash: crypto.SHA256})
	must(err, "decrypt OAEP")
	check(string(opened) == "sealed", "OAEP opens to something else")

	ecKey, err := token.GenerateECDSAKeyPairWithLabel([]byte{2}, []byte("go-ec"), elliptic.P256())
	must(err, "generate an EC key")
	signature, err = ecKey.Sign(rand.Reader, digest[:], crypto.SHA256)
	must(err, "sign ECDSA")
	check(ecdsa.VerifyASN1(ecKey.Public().(*ecdsa.PublicKey), digest[:], signature), "ECDSA does not verify")

	aes, err := token.GenerateSecretKeyWithLabel([]byte{3}, []byte("go-aes"), 256, crypto11.CipherAES)
	must(err, "generate an AES key")
	gcm, err := aes.NewGCM()
	must(err, "AES-GCM")
	nonce := make([]byte, gcm.NonceSize())
	_, err = rand.Read(nonce)
	must(err, "a nonce")
	boxed := gcm.Seal(nil, nonce, []byte("boxed"), []byte("aad"))
	plain, err := gcm.Open(nil, nonce, boxed, []byte("aad"))
	must(err, "open AES-GCM")
	check(string(plain) == "boxed", "AES-GCM opens to something else")
	_, err = gcm.Open(nil, nonce, boxed, []byte("other"))
	check(err != nil, "AES-GCM takes another AAD")

	// A session each: more signers than the pool has idle sessions.
	var all sync.WaitGroup
	for i := 0; i < 16; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for j := 0; j < 20; j++ {
				signature, err := ecKey.Sign(rand.Reader, digest[:], crypto.SHA256)
				must(err, "sign among many")
				check(ecdsa.VerifyASN1(ecKey.Public().(*ecdsa.PublicKey), digest[:], signature), "a signature among many is wrong")
			}
		}()
	}
	all.Wait()

	serve(token, "rsa", rsaKey)
	serve(token, "ec", ecKey)

	must(token.Close(), "close")
	token, err = crypto11.Configure(config)
	must(err, "configure again")
	pairs, err := token.FindAllKeyPairs()
	must(err, "find the pairs")
	check(len(pairs) == 2, fmt.Sprintf("%d key pairs after a restart, not 2", len(pairs)))
	found, err := token.FindKey(nil, []byte("go-aes"))
	must(err, "find the AES key")
	must(found.Delete(), "delete the AES key")
	found, err = token.FindKey(nil, []byte("go-aes"))
	check(err == nil && found == nil, "a deleted key is found")
	for _, pair := range pairs {
		must(pair.Delete(), "delete a pair")
	}
	must(token.Close(), "close")
	fmt.Println("all done")
}

// serve puts a certificate into the token, and serves TLS with it and the key as the token gives them back.
func serve(token *crypto11.Context, name string, key crypto11.Signer) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err, "sign a certificate")
	certificate, err := x509.ParseCertificate(der)
	must(err, "parse the certificate")
	must(token.ImportCertificateWithLabel([]byte(name), []byte(name), certificate), "import the certificate")
	back, err := token.FindCertificate(nil, []byte(name), nil)
	must(err, "find the certificate")
	check(back != nil && bytes.Equal(back.Raw, der), "the certificate comes back changed")

	server := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{back.Raw}, PrivateKey: key}}}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	must(err, "listen")
	defer listener.Close()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func(connection net.Conn) {
				defer connection.Close()
				fmt.Fprint(connection, "served by "+name)
			}(connection)
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: version, MaxVersion: version}
		connection, err := tls.Dial("tcp", listener.Addr().String(), client)
		must(err, "TLS with "+name)
		text, err := io.ReadAll(connection)
		must(err, "read over TLS")
		check(string(text) == "served by "+name, "TLS says "+string(text))
		connection.Close()
	}
	must(token.DeleteCertificate(nil, []byte(name), nil), "delete the certificate")
}
