package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

func TestIssue(t *testing.T) {
	now := time.Now()
	authority, err := NewAuthority("test", now)
	if err != nil {
		t.Fatal(err)
	}
	root, err := authority.Pair()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root.Cert)

	tests := map[string]struct {
		subject   Subject
		usage     x509.ExtKeyUsage
		host      string
		wantIssue bool
		wantValid bool
	}{
		"a client certificate is valid for clients": {
			subject: Subject{CommonName: "admin", Organization: "system:masters", Client: true},
			usage:   x509.ExtKeyUsageClientAuth, wantIssue: true, wantValid: true,
		},
		"a client certificate does not serve": {
			subject: Subject{CommonName: "admin", Client: true},
			usage:   x509.ExtKeyUsageServerAuth, wantIssue: true,
		},
		"a serving certificate is valid for its address": {
			subject: Subject{CommonName: "api", IPs: []string{"10.0.0.1"}}, host: "10.0.0.1",
			usage: x509.ExtKeyUsageServerAuth, wantIssue: true, wantValid: true,
		},
		"a serving certificate is not valid for another address": {
			subject: Subject{CommonName: "api", IPs: []string{"10.0.0.1"}}, host: "10.0.0.2",
			usage: x509.ExtKeyUsageServerAuth, wantIssue: true,
		},
		"an address that is none is refused": {
			subject: Subject{CommonName: "api", IPs: []string{"localhost"}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pair, err := authority.Issue(tc.subject)
			if (err == nil) != tc.wantIssue {
				t.Fatalf("Issue error = %v, want success %t", err, tc.wantIssue)
			}
			if err != nil {
				return
			}
			if _, err := tls.X509KeyPair(pair.Cert, pair.Key); err != nil {
				t.Fatalf("certificate and key do not belong together: %v", err)
			}
			block, _ := pem.Decode(pair.Cert)
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			_, err = cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: tc.host, KeyUsages: []x509.ExtKeyUsage{tc.usage}, CurrentTime: now})
			if (err == nil) != tc.wantValid {
				t.Errorf("Verify error = %v, want valid %t", err, tc.wantValid)
			}
		})
	}
}

func TestPairSurvivesTheDisk(t *testing.T) {
	dir := t.TempDir()
	want, err := SigningKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := want.Write(dir, "sa"); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir, "sa")
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Cert) != string(want.Cert) || string(got.Key) != string(want.Key) {
		t.Error("the pair read differs from the pair written")
	}
}
