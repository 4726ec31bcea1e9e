// Send prepared requests in order: `k6 run -e CALLS=<file> -e ADDRESS=... -e CONNECTIONS=... -e SECONDS=... -e CYCLE=1`.

import exec from "k6/execution";
import http from "k6/http";
import { SharedArray } from "k6/data";
import { Counter } from "k6/metrics";

const calls = new SharedArray("calls", () => JSON.parse(open(__ENV.CALLS)));
const refused = new Counter("refused");
const failed = new Counter("failed");
const vus = Number(__ENV.CONNECTIONS);
const seconds = Number(__ENV.SECONDS);

export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ["med", "p(99)", "max"],
  scenarios: {
    load: __ENV.CYCLE === "1"
      ? { executor: "constant-vus", vus, duration: `${seconds}s`, gracefulStop: "10s" }
      : { executor: "shared-iterations", vus, iterations: calls.length, maxDuration: `${seconds}s`, gracefulStop: "10s" },
  },
};

export default function () {
  const call = calls[exec.scenario.iterationInTest % calls.length];
  const reply = http.request(call.method, __ENV.ADDRESS + call.path, call.body, { headers: call.headers });
  if (reply.status === 0) failed.add(1);
  else if (reply.status < 200 || reply.status > 299) refused.add(1);
}

export function handleSummary(data) {
  const took = data.metrics.http_req_duration.values;
  return {
    stdout: "RESULT " + JSON.stringify({
      requests: data.metrics.http_reqs.values.count,
      rate: data.metrics.http_reqs.values.rate,
      p50: took.med, p99: took["p(99)"], max: took.max,
      refused: data.metrics.refused ? data.metrics.refused.values.count : 0,
      failures: data.metrics.failed ? data.metrics.failed.values.count : 0,
    }) + "\n",
  };
}
