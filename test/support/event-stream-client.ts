import { type ClientRequest, request } from "node:http";

/** A stream of events that is open; to be destroyed. @throws Error when the answer is not 200. */
export function openStream(url: string, token: string): Promise<ClientRequest> {
  return new Promise((resolve, reject) => {
    const req = request(url, { headers: { "x-auth-token": token }, agent: false }, (res) => {
      res.resume();
      if (res.statusCode === 200) resolve(req);
      else reject(new Error(`${url}: ${res.statusCode}`));
    });
    req.on("error", reject);
    req.end();
  });
}
