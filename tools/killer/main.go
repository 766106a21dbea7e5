// Command killer kills a server with SIGKILL again and again while clients write to it, and after each start checks
// that every acknowledged transaction is there, that none is there by half, and that the database is sound.
//
//	killer -bop bin/bop -kills 100
//	killer -bop bin/bop -kills 100 -cold /tmp/bucket -key-file keys
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"github.com/bop-platform/bop/tools/internal/process"
)

func main() {
	o := options{}
	flag.StringVar(&o.binary, "bop", "bin/bop", "the bop binary to kill")
	flag.IntVar(&o.kills, "kills", 100, "how often")
	flag.IntVar(&o.writers, "writers", 8, "clients that write at once")
	flag.BoolVar(&o.mysql, "mysql", true, "let half of the writers speak MySQL's protocol")
	flag.DurationVar(&o.life, "life", 300*time.Millisecond, "longest time under load before a kill")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the times between kills")
	flag.StringVar(&o.cold, "cold", "", "a folder that is the server's bucket: pages and log go there, and pages leave the disk")
	flag.StringVar(&o.keyFile, "key-file", "", "wrapping keys, as bop serve takes them: the databases are encrypted")
	flag.StringVar(&o.dir, "dir", "", "data folder to use and keep; default: one that is removed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "killer: %v (seed %d)\n", err, o.seed)
		os.Exit(1)
	}
}

type options struct {
	binary  string
	kills   int
	writers int
	mysql   bool
	life    time.Duration
	seed    uint64
	dir     string
	cold    string
	keyFile string
}

func (o *options) run(ctx context.Context) (err error) {
	work, err := os.MkdirTemp("", "bop-killer-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			os.RemoveAll(work)
		} else {
			fmt.Fprintln(os.Stderr, "killer: the data is kept in", work)
		}
	}()
	data := o.dir
	if data == "" {
		data = filepath.Join(work, "data")
	}
	random := rand.New(rand.NewPCG(o.seed, 0))
	book := newBook(o.writers, o.mysql)
	started, acked := time.Now(), 0
	for kill := 0; ; kill++ {
		s, err := o.start(ctx, data)
		if err != nil {
			return fmt.Errorf("start after %d kills: %w", kill, err)
		}
		if kill == 0 {
			err = book.create(ctx, s)
		} else {
			err = book.check(ctx, o.binary, s, work)
		}
		if err != nil {
			s.Kill()
			return fmt.Errorf("after %d kills: %w\nthe server's log ends:\n%s", kill, err, s.Log())
		}
		if kill == o.kills {
			stopCtx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			if err := s.Stop(stopCtx); err != nil {
				return err
			}
			fmt.Printf("ok    %d kills, %d acknowledged transactions, none lost, none by half  %.1fs\n", kill, book.acknowledged(), time.Since(started).Seconds())
			return nil
		}
		if err := o.load(ctx, s, book, time.Duration(random.Int64N(int64(o.life)))); err != nil {
			return err
		}
		if n := book.acknowledged(); kill%20 == 19 {
			fmt.Printf("      %d kills, %d transactions acknowledged since the last line\n", kill+1, n-acked)
			acked = n
		}
	}
}

func (o *options) start(ctx context.Context, data string) (*process.Bop, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	flags := []string{"--log-level", "warn"}
	if o.cold != "" {
		bucket, err := filepath.Abs(o.cold)
		if err != nil {
			return nil, err
		}
		// So little on the disk, and so often, that kills meet uploads and evictions.
		flags = append(flags, "--cold", "file://"+bucket, "--cold-bytes", "1MiB", "--cold-log-interval", "50ms", "--cold-page-interval", "200ms")
	}
	if o.keyFile != "" {
		flags = append(flags, "--key-file", o.keyFile)
	}
	return process.StartBop(ctx, o.binary, data, flags...)
}

// load lets the writers write for a while and kills the server under them.
func (o *options) load(parent context.Context, s *process.Bop, b *book, life time.Duration) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	var wg sync.WaitGroup
	errs := make(chan error, o.writers)
	for id := range o.writers {
		wg.Go(func() {
			if err := b.write(ctx, id, s); err != nil {
				errs <- err
			}
		})
	}
	// A server that just started prepares itself for a while: the time under load begins with the first acknowledgement.
	before := b.acknowledged()
	for deadline := time.Now().Add(time.Minute); ; {
		var err error
		select {
		case err = <-errs:
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
			if b.acknowledged() == before && time.Now().Before(deadline) {
				continue
			}
			if b.acknowledged() == before {
				err = errors.New("no transaction was acknowledged within a minute")
				break
			}
			select {
			case err = <-errs:
			case <-ctx.Done():
			case <-time.After(life):
			}
		}
		if err != nil {
			s.Kill()
			wg.Wait()
			return fmt.Errorf("a writer was refused while the server ran: %w\n%s", err, s.Log())
		}
		break
	}
	b.dying.Store(true)
	s.Kill()
	cancel()
	wg.Wait()
	b.dying.Store(false)
	return parent.Err()
}
