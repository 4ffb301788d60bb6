// The story of opensearch-go, which asks for the cluster's nodes before anything else.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opensearch-project/opensearch-go/v4"
	"github.com/opensearch-project/opensearch-go/v4/opensearchapi"
	"github.com/opensearch-project/opensearch-go/v4/opensearchutil"

	"querymill/tests/clients/told"
)

const match = `{"query": {"match": {"title": "shoe"}}, "sort": ["n"], "size": 3}`

func main() {
	told.Main(story)
}

func story(tell *told.Story, url string, index string) {
	ctx := context.Background()
	config := opensearch.Config{Addresses: []string{url}, CompressRequestBody: true, MaxRetries: 1}
	client, err := opensearchapi.NewClient(opensearchapi.Config{Client: config})
	told.Must("client", err)
	told.Must("sniff", client.Client.DiscoverNodes())
	made, err := client.Indices.Create(ctx, opensearchapi.IndicesCreateReq{
		Index: index,
		Body:  strings.NewReader(`{"settings": {"number_of_shards": 1, "number_of_replicas": 0}}`),
	})
	told.Must("create", err)
	tell.Tell("create", made.Acknowledged)
	bulk(ctx, tell, client, index)
	found, err := client.Search(ctx, &opensearchapi.SearchReq{
		Indices: []string{index}, Body: strings.NewReader(match),
	})
	told.Must("search", err)
	tell.Ran(found.Inspect().Response.Header)
	tell.Tell("search", ids(found.Hits.Hits))
	scroll(ctx, tell, client, index)
	point(ctx, tell, client, index)
	failures(ctx, tell, client, index)
	gone, err := client.Indices.Delete(ctx, opensearchapi.IndicesDeleteReq{Indices: []string{index}})
	told.Must("delete", err)
	tell.Tell("delete", gone.Acknowledged)
}

func bulk(ctx context.Context, tell *told.Story, client *opensearchapi.Client, index string) {
	indexer, err := opensearchutil.NewBulkIndexer(opensearchutil.BulkIndexerConfig{
		Client: client, Index: index, Refresh: "true", NumWorkers: 2, FlushBytes: 8000,
	})
	told.Must("bulk", err)
	for n := range told.Count {
		body := fmt.Sprintf(`{"n": %d, "title": "red shoe %d"}`, n, n%7)
		told.Must("bulk", indexer.Add(ctx, opensearchutil.BulkIndexerItem{
			Action: "index", DocumentID: fmt.Sprint(n), Body: strings.NewReader(body),
		}))
	}
	told.Must("bulk", indexer.Close(ctx))
	stats := indexer.Stats()
	tell.Tell("bulk", []uint64{stats.NumAdded, stats.NumIndexed, stats.NumFailed})
}

func scroll(ctx context.Context, tell *told.Story, client *opensearchapi.Client, index string) {
	first, err := client.Search(ctx, &opensearchapi.SearchReq{
		Indices: []string{index},
		Body:    strings.NewReader(`{"size": 120, "sort": ["n"]}`),
		Params:  opensearchapi.SearchParams{Scroll: time.Minute},
	})
	told.Must("scroll", err)
	seen, id := len(first.Hits.Hits), *first.ScrollID
	for {
		page, err := client.Scroll.Get(ctx, opensearchapi.ScrollGetReq{
			ScrollID: id, Params: opensearchapi.ScrollGetParams{Scroll: time.Minute},
		})
		told.Must("page", err)
		if len(page.Hits.Hits) == 0 {
			break
		}
		tell.Ran(page.Inspect().Response.Header)
		seen, id = seen+len(page.Hits.Hits), *page.ScrollID
	}
	closed, err := client.Scroll.Delete(ctx, opensearchapi.ScrollDeleteReq{ScrollIDs: []string{id}})
	told.Must("clear", err)
	tell.Tell("scroll", []int{seen, closed.NumFreed})
}

func point(ctx context.Context, tell *told.Story, client *opensearchapi.Client, index string) {
	opened, err := client.PointInTime.Create(ctx, opensearchapi.PointInTimeCreateReq{
		Indices: []string{index},
		Params:  opensearchapi.PointInTimeCreateParams{KeepAlive: time.Minute},
	})
	told.Must("open", err)
	body := fmt.Sprintf(`{"pit": {"id": %q, "keep_alive": "1m"}, "sort": ["n"], "size": 2}`, opened.PitID)
	page, err := client.Search(ctx, &opensearchapi.SearchReq{Body: bytes.NewBufferString(body)})
	told.Must("page", err)
	tell.Ran(page.Inspect().Response.Header)
	all, err := client.PointInTime.Get(ctx, nil)
	told.Must("list", err)
	listed := false
	for _, pit := range all.Pits {
		listed = listed || pit.PitID == opened.PitID
	}
	closed, err := client.PointInTime.Delete(ctx, opensearchapi.PointInTimeDeleteReq{
		PitID: []string{opened.PitID},
	})
	told.Must("close", err)
	same := closed.Pits[0].PitID == opened.PitID && closed.Pits[0].Successful
	tell.Tell("point in time", []any{ids(page.Hits.Hits), listed, same})
}

func failures(ctx context.Context, tell *told.Story, client *opensearchapi.Client, index string) {
	_, err := client.Search(ctx, &opensearchapi.SearchReq{
		Indices: []string{index}, Body: strings.NewReader(`{"query": {"nonsense": {}}}`),
	})
	tell.Tell("bad query", kind(err))
	_, err = client.Search(ctx, &opensearchapi.SearchReq{Indices: []string{"none"}})
	tell.Tell("no index", kind(err))
	_, err = client.Document.Create(ctx, opensearchapi.DocumentCreateReq{
		Index: index, DocumentID: "1", Body: strings.NewReader("{}"),
	})
	tell.Tell("conflict", kind(err))
}

func kind(err error) any {
	var failure *opensearch.StructError
	if errors.As(err, &failure) {
		return []any{failure.Status, failure.Err.Type}
	}
	return fmt.Sprintf("%T", err)
}

func ids(hits []opensearchapi.SearchHit) []string {
	found := []string{}
	for _, hit := range hits {
		found = append(found, hit.ID)
	}
	return found
}
