package backup

import (
	"context"
	"fmt"
	"strings"
)

// Destroy deletes all that the bucket has of the database, of every lineage: the manifests first, which have the wrapped data
// keys, so that what is left for a while can't be opened. Nobody may write to it any more.
func (s *Space) Destroy(ctx context.Context) error {
	for manifests := true; ; manifests = false {
		var keys []string
		for info, err := range s.objects.List(ctx, "", "") {
			if err != nil {
				return fmt.Errorf("listing what there is of database %s: %w", s.o.Database, err)
			}
			if !manifests || strings.HasSuffix(info.Key, "/"+manifestName) {
				keys = append(keys, info.Key)
			}
		}
		for len(keys) > 0 {
			n := min(len(keys), 500)
			if err := s.objects.Delete(ctx, keys[:n]...); err != nil {
				return fmt.Errorf("deleting what there is of database %s: %w", s.o.Database, err)
			}
			keys = keys[n:]
		}
		if !manifests {
			return nil
		}
	}
}
