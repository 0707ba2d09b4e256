package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// tlsProxy puts TLS before the replay server, as Go's own server speaks it to clients of both kinds: HTTP/2 and
// HTTP/1.1. Each event of a watch is flushed by itself, as the API server does. It prints its port once it serves, and
// keeps the certificate that clients have to trust in a file.
func tlsProxy(arguments []string) error {
	flags := flag.NewFlagSet("tls", flag.ExitOnError)
	url := flags.String("url", "", "the replay server")
	authority := flags.String("ca", "", "where the certificate is written")
	flags.Parse(arguments)
	certificate, err := selfSigned(*authority)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{
		Handler:   proxy{url: *url, client: &http.Client{Transport: &http.Transport{DisableCompression: true}}},
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}},
	}
	return server.ServeTLS(listener, "", "")
}

// selfSigned makes a certificate of this machine, and writes it to a file.
func selfSigned(path string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "replay server"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(path, encoded, 0o644)
}

type proxy struct {
	url    string
	client *http.Client
}

func (p proxy) ServeHTTP(to http.ResponseWriter, asked *http.Request) {
	request, err := http.NewRequestWithContext(asked.Context(), asked.Method, p.url+asked.URL.RequestURI(), nil)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Accept", asked.Header.Get("Accept"))
	answer, err := p.client.Do(request)
	if err != nil {
		http.Error(to, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	kind := answer.Header.Get("Content-Type")
	to.Header().Set("Content-Type", kind)
	to.WriteHeader(answer.StatusCode)
	if watch := asked.URL.Query().Get("watch"); watch == "" || watch == "false" {
		io.Copy(to, answer.Body)
		return
	}
	events := bufio.NewScanner(answer.Body)
	events.Buffer(make([]byte, 1<<16), 1<<24)
	events.Split(wholeLine)
	if strings.Contains(kind, protobuf) {
		events.Split(wholeMessage)
	}
	flush := to.(http.Flusher).Flush
	flush() // the client waits for the head
	for events.Scan() {
		if _, err := to.Write(events.Bytes()); err != nil {
			return
		}
		flush()
	}
}

// wholeLine splits a stream of JSON into events, each with its end of line.
func wholeLine(data []byte, atEnd bool) (int, []byte, error) {
	advance, line, err := bufio.ScanLines(data, atEnd)
	if line == nil {
		return advance, nil, err
	}
	return advance, data[:advance], err
}

// wholeMessage splits a stream of protobuf into events, each with its length before it.
func wholeMessage(data []byte, _ bool) (int, []byte, error) {
	if len(data) < 4 {
		return 0, nil, nil
	}
	size := 4 + int(binary.BigEndian.Uint32(data))
	if len(data) < size {
		return 0, nil, nil
	}
	return size, data[:size], nil
}
