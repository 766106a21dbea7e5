package bucketurl

import (
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, url, want, fails string }{
		{"memory", "mem:", "mem:", ""},
		{"a folder", "file://" + dir + "/x", "file://" + dir + "/x", ""},
		{"S3 with a prefix", "s3://bucket/some/prefix", "s3://bucket/some/prefix", ""},
		{"another server", "s3://bucket/p?endpoint=http://127.0.0.1:9000&region=eu-central-1&path_style=false", "s3://bucket/p?endpoint=http%3A%2F%2F127.0.0.1%3A9000", ""},
		{"a relative folder is refused", "file://x", "", "whole path"},
		{"another scheme is refused", "gs://bucket", "", `"gs" is no kind of bucket`},
		{"an unknown parameter is named", "s3://bucket?secret=1", "", `unknown parameter "secret"; known are endpoint`},
		{"a bucket without a name is refused", "s3:///prefix", "", "has no name"},
		{"path_style must be a truth value", "s3://b?path_style=maybe", "", "true or false"},
		{"credentials are refused and not repeated", "s3://key:hunter2@bucket", "", "don't belong"},
		{"credentials in the endpoint are refused and not repeated", "s3://b?endpoint=http://key:hunter2@127.0.0.1", "", "don't belong"},
		{"a parameter of a folder is refused", "file:///x?region=r", "", "takes no parameters"},
		{"a parameter of memory is refused", "mem:?region=r", "", "takes no parameters"},
		{"what follows a # is refused", "s3://b/p#1", "", "%23"},
		{"what isn't a URL is refused and not repeated", "s3://key:hunter2@%zz", "", "can't be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Open(t.Context(), c.url)
			switch {
			case c.fails != "":
				if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %v", err)
				}
			case err != nil:
				t.Error(err)
			case b.String() != c.want:
				t.Errorf("got %s", b)
			}
		})
	}
}
