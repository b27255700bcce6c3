package corral_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"corral.example/corral-cache"
	"corral.example/corral-cache/goredis"
	"corral.example/corral-cache/rueidiscorral"
)

// selfSigned writes a certificate for 127.0.0.1 and its key, and gives what a client needs to trust it.
func selfSigned(t *testing.T) (certificate, key string, trusting *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	write := func(name, kind string, data []byte) string {
		file := filepath.Join(directory, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return write("cert", "CERTIFICATE", der), write("key", "EC PRIVATE KEY", encoded), &tls.Config{RootCAs: pool}
}

func TestHitsWaitsAndBuildsGoOverTLS(t *testing.T) {
	if len(startServer(t).command(t, "CONFIG", "GET", "tls-port").([]any)) == 0 {
		t.Skip("this server was built without TLS")
	}
	certificate, key, trusting := selfSigned(t)
	port := freePort(t)
	s := startServer(t, "--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "no")
	address := "127.0.0.1:" + port
	for name, open := range map[string]func() (*corral.Cache, error){
		"go-redis": func() (*corral.Cache, error) {
			return goredis.New(redis.NewClient(&redis.Options{Addr: address, TLSConfig: trusting}), corral.Degrade(false))
		},
		"rueidis": func() (*corral.Cache, error) {
			return rueidiscorral.New(rueidis.ClientOption{InitAddress: []string{address}, TLSConfig: trusting}, corral.Degrade(false))
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache, err := open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cache.Close)
			for _, wanted := range []string{"first", "first"} {
				value, err := corral.GetOrBuild(context.Background(), cache, name, give("first"))
				if err != nil || value != wanted {
					t.Fatalf("got %v, %v", value, err)
				}
			}
			token := s.lock(t, "k "+name)
			waits := begin(func() (string, error) {
				return corral.GetOrBuild(context.Background(), cache, "k "+name, give("own"))
			})
			s.waiters(t, 1)
			s.command(t, "CACHE.FILL", "k "+name, token, `"theirs"`)
			if r := answer(t, waits); r.value != "theirs" {
				t.Errorf("got %v", r)
			}
		})
	}
}
