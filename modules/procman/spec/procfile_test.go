package spec

import (
	"testing"
)

func TestAProcfileIsRead(t *testing.T) {
	dir := folder(t, map[string]string{
		"Procfile": "# comment\n\nweb: bundle exec rails s -p $PORT\nworker-1:  env A=b:c ./work ${QUEUE:-x}\r\n",
		".env":     "RAILS_ENV=dev\n",
	})
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Processes) != 2 {
		t.Fatalf("got %v", r)
	}
	web, worker := r.Processes[0], r.Processes[1]
	if web.Name != "web" || web.Command.Shell != "bundle exec rails s -p $PORT" || web.Ports[0].Number != 5000 || web.Dir != dir {
		t.Errorf("got %v", web)
	}
	if worker.Name != "worker-1" || worker.Command.Shell != "env A=b:c ./work ${QUEUE:-x}" || worker.Ports[0].Number != 5100 {
		t.Errorf("got %v", worker)
	}
	if v, _ := web.Env.Get("RAILS_ENV"); v != "dev" {
		t.Errorf("got %v", web.Env)
	}
	if v, _ := worker.Env.Get("PORT"); v != "5100" {
		t.Errorf("got %v", worker.Env)
	}
}

func TestAProcfileTakesItsFirstPortFromTheEnvFile(t *testing.T) {
	dir := folder(t, map[string]string{"Procfile": "a: x\nb: y\n", ".env": "PORT=3000\n"})
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if p.Processes[0].Ports[0].Number != 3000 || p.Processes[1].Ports[0].Number != 3100 {
		t.Errorf("got %v", p)
	}
}

func TestProcfileFaults(t *testing.T) {
	_, err := ParseProcfile("/srv", "Procfile", []byte("web x\na b: x\nc:\nd: 1\nd: 2\n"))
	list := listOf(t, err)
	if len(list) != 4 {
		t.Fatalf("got %v", list)
	}
	for i, line := range []int{1, 2, 3, 5} {
		if list[i].Line != line {
			t.Errorf("got %v, want line %d", list[i], line)
		}
	}
	mustContain(t, err.Error(), "there is no :", "isn't a name", "there is no command", "it is first in line 4")
}
