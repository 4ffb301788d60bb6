import co.elastic.clients.elasticsearch.ElasticsearchClient;
import co.elastic.clients.elasticsearch._helpers.bulk.BulkIngester;
import co.elastic.clients.elasticsearch._types.ElasticsearchException;
import co.elastic.clients.elasticsearch._types.Refresh;
import co.elastic.clients.elasticsearch.core.SearchResponse;
import co.elastic.clients.elasticsearch.indices.shard_stores.ShardStoreStatus;
import co.elastic.clients.json.jackson.JacksonJsonpMapper;
import co.elastic.clients.transport.rest5_client.Rest5ClientTransport;
import co.elastic.clients.transport.rest5_client.low_level.Rest5Client;
import co.elastic.clients.transport.rest5_client.low_level.sniffer.ElasticsearchNodesSniffer;
import java.io.StringReader;
import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/** The story of elasticsearch-java, which decodes answers into classes, after it has sniffed. */
public final class Elastic {
    public static void main(String[] arguments) throws Exception {
        Told.main(arguments, Elastic::story);
    }

    private static void story(Told told, String url, String index) throws Exception {
        Rest5Client nodes = Rest5Client.builder(URI.create(url)).setCompressionEnabled(true).build();
        nodes.setNodes(new ElasticsearchNodesSniffer(nodes).sniff());
        told.tell("nodes", nodes.getNodes().size());
        Rest5ClientTransport transport = new Rest5ClientTransport(nodes, new JacksonJsonpMapper());
        try (ElasticsearchClient client = new ElasticsearchClient(transport)) {
            told.tell("create", client.indices().create(c -> c.index(index)
                .settings(s -> s.numberOfShards("1").numberOfReplicas("0"))).acknowledged());
            try (BulkIngester<Void> bulk = BulkIngester.of(b -> b.client(client)
                    .maxOperations(120).globalSettings(g -> g.refresh(Refresh.True)))) {
                for (int n = 0; n < Told.COUNT; n++) {
                    String id = Integer.toString(n);
                    Map<String, Object> document = Told.document(n);
                    bulk.add(o -> o.index(i -> i.index(index).id(id).document(document)));
                }
            }
            told.tell("count", client.count(c -> c.index(index)).count());
            told.tell("search", ids(client.search(s -> s.index(index).size(3)
                .query(q -> q.match(m -> m.field("title").query("shoe")))
                .sort(o -> o.field(f -> f.field("n"))), Map.class)));
            scroll(told, client, index);
            point(told, client, index);
            told.tell("health", client.cluster().health(h -> h.index(index)).unassignedPrimaryShards());
            nodes(told, client, index);
            told.tell("fields", client.fieldCaps(f -> f.index(index).fields("n")).fields().keySet());
            told.tell("bad query", kind(() -> client.search(s -> s.index(index)
                .withJson(new StringReader("{\"query\": {\"nonsense\": {}}}")), Map.class)));
            told.tell("no index", kind(() -> client.search(s -> s.index("none"), Map.class)));
            told.tell("conflict",
                kind(() -> client.create(c -> c.index(index).id("1").document(Map.of()))));
            told.tell("delete", client.indices().delete(d -> d.index(index)).acknowledged());
        }
    }

    private static void scroll(Told told, ElasticsearchClient client, String index) throws Exception {
        SearchResponse<Map> first = client.search(
            s -> s.index(index).size(120).scroll(t -> t.time("1m")), Map.class);
        int seen = first.hits().hits().size();
        String id = first.scrollId();
        while (true) {
            String last = id;
            var page = client.scroll(s -> s.scrollId(last).scroll(t -> t.time("1m")), Map.class);
            if (page.hits().hits().isEmpty()) {
                break;
            }
            seen += page.hits().hits().size();
            id = page.scrollId();
        }
        String last = id;
        told.tell("scroll", seen, client.clearScroll(c -> c.scrollId(last)).numFreed());
    }

    /** Calls whose classes need members of nodes that OpenSearch does not name. */
    private static void nodes(Told told, ElasticsearchClient client, String index) throws Exception {
        told.tell("search shards", client.searchShards(s -> s.index(index)).nodes().size());
        told.tell("shard stores", client.indices().shardStores(s -> s.index(index)
            .status(ShardStoreStatus.All)).indices().get(index).shards().get("0").stores().size());
        told.tell("allocation", client.cluster().allocationExplain(a -> a.index(index).shard(0)
            .primary(true)).currentState());
    }

    private static void point(Told told, ElasticsearchClient client, String index) throws Exception {
        String id = client.openPointInTime(o -> o.index(index).keepAlive(t -> t.time("1m"))).id();
        var page = client.search(s -> s.pit(p -> p.id(id).keepAlive(t -> t.time("1m"))).size(2)
            .sort(o -> o.field(f -> f.field("n"))), Map.class);
        told.tell("point in time", ids(page), client.closePointInTime(c -> c.id(id)).succeeded());
    }

    private static List<String> ids(SearchResponse<Map> found) {
        return found.hits().hits().stream().map(hit -> hit.id()).toList();
    }

    private static List<Object> kind(Callable<?> call) throws Exception {
        try {
            call.call();
            return List.of();
        } catch (ElasticsearchException error) {
            return List.of(error.status(), error.error().type());
        }
    }
}
