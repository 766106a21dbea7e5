package coldtest

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/s3store"
)

const (
	accessKey = "testkey"
	secretKey = "testsecret"
)

// gateway is a running versitygw.
type gateway struct {
	*testing.T
	url, dir, addr string
	cmd            *exec.Cmd
	log            bytes.Buffer
}

// start runs a server with a bucket called "bucket".
func start(t *testing.T) *gateway {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{T: t, addr: ln.Addr().String(), dir: t.TempDir()}
	ln.Close()
	g.url = "http://" + g.addr
	if err := os.Mkdir(filepath.Join(g.dir, "bucket"), 0o700); err != nil {
		t.Fatal(err)
	}
	g.run()
	t.Cleanup(g.kill)
	return g
}

func (g *gateway) run() {
	g.Helper()
	g.cmd = exec.Command(*server, "--port", g.addr, "--quiet", "posix", g.dir)
	g.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	g.cmd.Stdout, g.cmd.Stderr = &g.log, &g.log
	if err := g.cmd.Start(); err != nil {
		g.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		answer, err := http.Get(g.url + "/bucket")
		if err == nil {
			answer.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			g.Fatalf("%s doesn't answer: %v", *server, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// kill ends the server as a crash does.
func (g *gateway) kill() {
	g.cmd.Process.Kill()
	g.cmd.Wait()
}

// bucket opens the server's bucket, or, by another endpoint, what stands in front of it.
func (g *gateway) bucket(endpoint, prefix string, retry objstore.RetryOptions) objstore.Bucket {
	g.Helper()
	b, err := s3store.Open(g.Context(), s3store.Options{Bucket: "bucket", Endpoint: endpoint, Retry: retry,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")})
	if err != nil {
		g.Fatal(err)
	}
	return objstore.Prefix(objstore.Retry(b, retry), prefix)
}
