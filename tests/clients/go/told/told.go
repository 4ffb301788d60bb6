// Package told keeps what came of the steps of a story, for standard output as JSON.
package told

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

// Count is how many documents a story writes.
const Count = 300

// Story is the outcomes of steps, in order, and the pipelines that ran on searches.
type Story struct {
	Told      []any    `json:"told"`
	Pipelines []string `json:"pipelines"`
}

// Tell records the outcome of a step.
func (s *Story) Tell(step string, outcome any) {
	s.Told = append(s.Told, []any{step, outcome})
}

// Ran records which pipelines an answer says it has been through.
func (s *Story) Ran(header http.Header) {
	s.Pipelines = append(s.Pipelines, header.Get("Querymill-Pipelines"))
}

// Must ends the program where a step failed that should not have.
func Must(step string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", step, err)
		os.Exit(1)
	}
}

// Main tells the story of each server, in order: program INDEX URL...
func Main(tell func(story *Story, url string, index string)) {
	stories := []*Story{}
	for _, url := range os.Args[2:] {
		story := &Story{}
		tell(story, url, os.Args[1])
		stories = append(stories, story)
	}
	Must("output", json.NewEncoder(os.Stdout).Encode(stories))
}
