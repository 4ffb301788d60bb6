// The story of the Elasticsearch client: its calls and helpers on one index.
import {Client} from "@elastic/elasticsearch";
import {documents, main} from "./story.mjs";

async function story(tell, node, index) {
  const client = new Client({node, compression: true, maxRetries: 0});
  const mappings = {properties: {n: {type: "long"}, title: {type: "text"}}};
  const settings = {number_of_shards: 1, number_of_replicas: 0};
  await tell.step("create", () => client.indices.create({index, mappings, settings}));
  const done = await client.helpers.bulk({
    datasource: documents(),
    onDocument: ({id}) => ({index: {_index: index, _id: id}}),
    refreshOnCompletion: index,
  });
  tell.tell("bulk", [done.total, done.successful, done.failed]);
  const query = {match: {title: "shoe"}};
  await tell.step("search", () => client.search({index, query, sort: ["n"], size: 3}));
  await tell.step("count", () => client.count({index, query: {term: {n: 5}}}));
  const searches = [{index}, {size: 1, sort: ["n"]}, {index: "none"}, {}];
  const many = await client.msearch({searches});
  tell.tell("msearch", many.responses.map((part) => part.status));
  const scanned = [];
  for await (const document of client.helpers.scrollDocuments({index, query, size: 120})) {
    scanned.push(document.n);
  }
  tell.tell("scan", scanned.sort((a, b) => a - b));
  await tell.step("bad query", () => client.search({index, query: {nonsense: {}}}));
  const key = {index, id: "a/b ü"};
  await tell.step("index", () => client.index({...key, document: {n: -1}, refresh: true}));
  await tell.step("get", () => client.get(key));
  await tell.step("update", () => client.update({...key, doc: {n: -2}}));
  await tell.step("conflict", () => client.create({...key, document: {}}));
  await tell.step("mget", () => client.mget({index, ids: ["1", "none"]}));
  await tell.step("delete document", () => client.delete({...key, refresh: true}));
  await tell.step("missing", () => client.get(key));
  const opened = await client.openPointInTime({index, keep_alive: "1m"});
  tell.tell("point in time", Object.keys(opened).sort());
  const pit = {id: opened.id, keep_alive: "1m"};
  await tell.step("page", () => client.search({pit, sort: ["n", "_shard_doc"], size: 3}));
  await tell.step("close", () => client.closePointInTime({id: opened.id}));
  await tell.step("closed", () => client.search({pit}));
  await tell.step("delete", () => client.indices.delete({index}));
  await client.close();
}

await main(story);
