package s3test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/bucketurl"
	"github.com/bop-platform/bop/modules/aof/objstore/objtest"
	"github.com/bop-platform/bop/modules/aof/objstore/s3store"
)

func TestTheBucketInThisProcess(t *testing.T) {
	objtest.Run(t, func(t *testing.T) objstore.Bucket {
		backend := s3mem.New()
		if err := backend.CreateBucket("bucket"); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
		t.Cleanup(server.Close)
		return open(t, server.URL)
	}, objtest.Options{Part: 8 << 20, OwnTime: true, Lax: true})
}

func open(t *testing.T, endpoint string) objstore.Bucket {
	t.Helper()
	b, err := s3store.Open(t.Context(), s3store.Options{Bucket: "bucket", Endpoint: endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") && name != "AWS_CA_BUNDLE" {
			os.Unsetenv(name)
		}
	}
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}

func init() {
	withServer = append(withServer, test{"the bucket's contract", func(t *testing.T) {
		g := start(t)
		var n atomic.Int32
		objtest.Run(t, func(t *testing.T) objstore.Bucket {
			return objstore.Prefix(open(t, g.url), fmt.Sprint("run-", n.Add(1)))
		}, objtest.Options{Part: 8 << 20, OwnTime: true})
	}}, test{"configuration as AWS's tools take it", configured})
}

// configured reaches the server by each way that AWS's own tools know.
func configured(t *testing.T) {
	g := start(t, "--region", "eu-central-1")
	files := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(files, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	shared := write("credentials", fmt.Sprintf("[backup]\naws_access_key_id = %s\naws_secret_access_key = %s\n", accessKey, secretKey))
	profile := write("config", fmt.Sprintf("[profile backup]\nregion = eu-central-1\nendpoint_url = %s\n", g.url))
	for _, c := range []struct {
		name string
		env  map[string]string
		url  string
	}{
		{"credentials by the environment, endpoint by the URL", map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey},
			"s3://bucket/a?region=eu-central-1&endpoint=" + g.url},
		{"all by the environment", map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_ENDPOINT_URL": g.url,
			"AWS_REGION": "eu-central-1"}, "s3://bucket/b"},
		{"a profile of the shared files by the environment", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": shared, "AWS_CONFIG_FILE": profile, "AWS_PROFILE": "backup"},
			"s3://bucket/c"},
		{"a profile by the URL", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": shared, "AWS_CONFIG_FILE": profile}, "s3://bucket/d?profile=backup"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			b, err := bucketurl.Open(t.Context(), c.url)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Put(t.Context(), "x", strings.NewReader("content"), 7, objstore.PutOptions{IfAbsent: true}); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("wrong credentials are told", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
		t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
		b, err := bucketurl.Open(t.Context(), "s3://bucket/a?region=eu-central-1&endpoint="+g.url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Head(t.Context(), "x")
		if err == nil || !strings.Contains(err.Error(), "check the credentials") {
			t.Error(err)
		}
	})
}

// test is one that needs a real server.
type test struct {
	name string
	run  func(*testing.T)
}

var withServer []test

func TestARealServer(t *testing.T) {
	if *server == "" {
		return
	}
	for _, c := range withServer {
		t.Run(c.name, c.run)
	}
}
