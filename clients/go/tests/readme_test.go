// Package tests runs every code block of README.md as somebody with an empty directory would: those for the shell where
// they stand, programs under the name in their first line; and what they print is what the README says. CORRAL is the
// clone, PROJECT the empty directory, REDIS_URL a server with the module, whose data are thrown away.
package tests

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestEveryBlockOfTheReadmeDoesWhatItSays(t *testing.T) {
	clone, project := os.Getenv("CORRAL"), os.Getenv("PROJECT")
	if clone == "" || project == "" {
		t.Skip("CORRAL and PROJECT are not set: clients/go/test sets them")
	}
	text, err := os.ReadFile(filepath.Join(clone, "clients/go/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		t.Fatal(err)
	}
	server := redis.NewClient(options)
	defer server.Close()
	hasTags := server.Do(context.Background(), "CACHE.TAGS", "none").Err() == nil

	blocks := regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 8 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for at, block := range blocks {
		language, code := block[1], block[2]
		switch language {
		case "sh":
			t.Run("shell", func(t *testing.T) { run(t, project, "bash", "-e", "-c", code) })
		case "go":
			name := regexp.MustCompile(`^// (\w+)/main\.go\n`).FindStringSubmatch(code)
			if name == nil {
				t.Errorf("a program does not begin with its name:\n%s", code)
				continue
			}
			t.Run(name[1], func(t *testing.T) {
				if strings.Contains(code, "Tags") && !hasTags {
					t.Skip("this module has no tags")
				}
				if err := server.FlushAll(context.Background()).Err(); err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(filepath.Join(project, name[1]), 0o755); err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(project, name[1], "main.go")
				if err := os.WriteFile(file, []byte(code), 0o644); err != nil {
					t.Fatal(err)
				}
				if unlike := run(t, project, "gofmt", "-l", file); unlike != "" {
					t.Errorf("not as gofmt would have it: %s", run(t, project, "gofmt", "-d", file))
				}
				run(t, project, "go", "vet", "./"+name[1])
				if printed, wanted := run(t, project, "go", "run", "./"+name[1]), blocks[at+1]; wanted[1] != "text" || printed != wanted[2] {
					t.Errorf("printed:\n%s\nthe README says:\n%s", printed, wanted[2])
				}
			})
		case "acl":
			if line, err := os.ReadFile(filepath.Join(clone, "clients/conformance/acl.txt")); err != nil || strings.TrimSpace(string(line)) != strings.TrimSpace(code) {
				t.Errorf("the ACL line is not the one that the conformance suite tries: %v", err)
			}
		case "text":
			if at == 0 || blocks[at-1][1] != "go" {
				t.Errorf("nothing prints this:\n%s", code)
			}
		default:
			t.Errorf("nothing runs a block of %s", language)
		}
	}
}

func run(t *testing.T, directory, name string, args ...string) string {
	t.Helper()
	command := exec.Command(name, args...)
	command.Dir = directory
	var said strings.Builder
	command.Stderr = &said
	printed, err := command.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, printed, said.String())
	}
	return string(printed)
}
