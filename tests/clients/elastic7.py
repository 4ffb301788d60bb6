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
    told: dict[str, Any] = {"version": list(elasticsearch.__version__[:2])}
    told["number"] = client.info()["version"]["number"]
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    told["create"] = client.indices.create(index=index, settings=settings)["acknowledged"]
    actions = ({"_index": index, "_id": str(n), "_source": {"n": n}} for n in range(300))
    told["bulk"] = helpers.bulk(client, actions, refresh=True)
    found = client.search(index=index, query={"range": {"n": {"lt": 3}}}, sort="n")
    told["search"] = [hit["_id"] for hit in found["hits"]["hits"]]
    told["marked"] = found.get("marked")
    told["scan"] = len(list(helpers.scan(client, index=index, size=100)))
    pit = client.open_point_in_time(index=index, keep_alive="1m")["id"]
    page = client.search(pit={"id": pit, "keep_alive": "1m"}, size=2)
    told["page"] = len(page["hits"]["hits"])
    told["close"] = client.close_point_in_time(body={"id": pit})
    told["fields"] = list(client.field_caps(index=index, fields="n")["fields"])
    told["health"] = client.cluster.health(index=index)["unassigned_primary_shards"]
    try:
        client.get(index=index, id="none")
    except elasticsearch.NotFoundError as error:
        told["missing"] = error.status_code
    told["delete"] = client.indices.delete(index=index)["acknowledged"]
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(story(sys.argv[1], sys.argv[2])))
