"""The story of elasticsearch-py 7.17, which asks who the server is before anything else."""

from __future__ import annotations

import json
import sys
from typing import Any

import elasticsearch
from elasticsearch import helpers


def story(url: str, index: str) -> dict[str, Any]:
    """What comes of each step on one index, which is made and deleted."""
    client: Any = elasticsearch.Elasticsearch(url, http_compress=True)
    reported: dict[str, Any] = {"version": list(elasticsearch.__version__[:2])}
    reported["number"] = client.info()["version"]["number"]
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    reported["create"] = client.indices.create(index=index, settings=settings)["acknowledged"]
    actions = ({"_index": index, "_id": str(n), "_source": {"n": n}} for n in range(300))
    reported["bulk"] = helpers.bulk(client, actions, refresh=True)
    found = client.search(index=index, query={"range": {"n": {"lt": 3}}}, sort="n")
    reported["search"] = [hit["_id"] for hit in found["hits"]["hits"]]
    reported["marked"] = found.get("marked")
    reported["scan"] = len(list(helpers.scan(client, index=index, size=100)))
    pit = client.open_point_in_time(index=index, keep_alive="1m")["id"]
    page = client.search(pit={"id": pit, "keep_alive": "1m"}, size=2)
    reported["page"] = len(page["hits"]["hits"])
    reported["close"] = client.close_point_in_time(body={"id": pit})
    reported["fields"] = list(client.field_caps(index=index, fields="n")["fields"])
    reported["health"] = client.cluster.health(index=index)["unassigned_primary_shards"]
    try:
        client.get(index=index, id="none")
    except elasticsearch.NotFoundError as error:
        reported["missing"] = error.status_code
    reported["delete"] = client.indices.delete(index=index)["acknowledged"]
    return reported


if __name__ == "__main__":
    sys.stdout.write(json.dumps(story(sys.argv[1], sys.argv[2])))
