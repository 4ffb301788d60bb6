// The rewrite of bench/udfs.py for nginx with njs: the same query there, the same order back.
const PHRASES = ['wireless earphones', 'cordless headset', 'bluetooth headphones', 'over-ear headset'];

function rewritten(request) {
    const text = request.query.match.title;
    const should = [{ match: { title: { query: text, boost: 2 } } }];
    PHRASES.forEach((phrase) => {
        should.push({ match_phrase: { title: { query: phrase, boost: 0.5 } } });
    });
    request.query = { bool: { should: should } };
    return request;
}

function popularity(hit) {
    return hit._source.popularity || 0;
}

async function search(r) {
    const body = JSON.stringify(rewritten(JSON.parse(r.requestText)));
    const reply = await r.subrequest('/backend' + r.uri, { method: 'POST', body: body });
    const response = JSON.parse(reply.responseText);
    response.hits.hits.sort((one, other) => popularity(other) - popularity(one));
    r.headersOut['Content-Type'] = 'application/json';
    r.return(reply.status, JSON.stringify(response));
}

export default { search };
