// The story of the OpenSearch client: its calls and helpers on one index.
import {Client} from "@opensearch-project/opensearch";
import {documents, main} from "./story.mjs";

async function story(tell, node, index) {
  const client = new Client({node, compression: "gzip", maxRetries: 0});
  const ask = async (answer) => (await answer).body;
  const mappings = {properties: {n: {type: "long"}, title: {type: "text"}}};
  const settings = {number_of_shards: 1, number_of_replicas: 0};
  await tell.step("create", () => ask(client.indices.create({index, body: {mappings, settings}})));
  const done = await client.helpers.bulk({
    datasource: documents(),
    onDocument: ({id}) => ({index: {_index: index, _id: id}}),
    refreshOnCompletion: index,
  });
  tell.tell("bulk", [done.total, done.successful, done.failed]);
  const query = {match: {title: "shoe"}};
  const search = (body) => ask(client.search({index, body}));
  await tell.step("search", () => search({query, sort: ["n"], size: 3}));
  await tell.step("count", () => ask(client.count({index, body: {query: {term: {n: 5}}}})));
  const searches = [{index}, {size: 1, sort: ["n"]}, {index: "none"}, {}];
  const many = await ask(client.msearch({body: searches}));
  tell.tell("msearch", many.responses.map((part) => part.status));
  const scanned = [];
  const scan = client.helpers.scrollDocuments({index, body: {query}, size: 120});
  for await (const document of scan) scanned.push(document.n);
  tell.tell("scan", scanned.sort((a, b) => a - b));
  await tell.step("bad query", () => search({query: {nonsense: {}}}));
  const key = {index, id: "a/b ü"};
  await tell.step("index", () => ask(client.index({...key, body: {n: -1}, refresh: true})));
  await tell.step("get", () => ask(client.get(key)));
  await tell.step("update", () => ask(client.update({...key, body: {doc: {n: -2}}})));
  await tell.step("conflict", () => ask(client.create({...key, body: {}})));
  await tell.step("mget", () => ask(client.mget({index, body: {ids: ["1", "none"]}})));
  await tell.step("delete document", () => ask(client.delete({...key, refresh: true})));
  await tell.step("missing", () => ask(client.get(key)));
  await tell.step("delete", () => ask(client.indices.delete({index})));
  await client.close();
}

await main(story);
