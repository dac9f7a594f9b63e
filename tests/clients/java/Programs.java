// The JDK's own client, in one file without libraries: see ../programs.py.
//
//     java Programs.java NAME URL     prints {"versions", "vectors", "error"} as JSON
//
// URL notes what it passes on, and passes no offer on: most is asked of the server itself, DIRECT_URL.
// By default it offers HTTP/2 with every request to an http:// address (Upgrade: h2c, in clear text), and sends
// head and body apart: servers that take the offer for a change of protocol lose the body.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.List;
import java.util.concurrent.CompletableFuture;

class Programs {
    static final String TEXTS = "[\"hello world\",\"the cat sat on the mat\"]";

    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        String url = System.getenv("DIRECT_URL");
        ask(client, arguments[1], "{\"inputs\":" + TEXTS + "}");
        String vectors = list(ask(client, url, "{\"inputs\":" + TEXTS + "}").body(), "\"embeddings\":");

        // Twenty at once: over connections that offer anew, and over those that are kept.
        List<CompletableFuture<HttpResponse<String>>> several = java.util.stream.IntStream.range(0, 20)
            .mapToObj(n -> client.sendAsync(request(url, "{\"inputs\":" + TEXTS + "}"), BodyHandlers.ofString()))
            .toList();
        for (CompletableFuture<HttpResponse<String>> one : several) {
            if (!list(one.get().body(), "\"embeddings\":").equals(vectors)) throw new Exception("other vectors");
        }

        HttpResponse<String> refused = ask(client, url, "{\"inputs\":\"hello\",\"model\":\"absent\"}");
        String error = refused.statusCode() + " " + refused.body().replace("\\", "").replace("\"", "'");
        System.out.println("{\"versions\":{\"java.net.http\":\"" + Runtime.version().feature() + "\"},\"vectors\":"
            + vectors + ",\"error\":\"" + error + "\"}");
    }

    static HttpRequest request(String url, String body) {
        return HttpRequest.newBuilder(URI.create(url + "/encode"))
            .header("Content-Type", "application/json")
            .POST(BodyPublishers.ofString(body))
            .build();
    }

    static HttpResponse<String> ask(HttpClient client, String url, String body) throws Exception {
        return client.send(request(url, body), BodyHandlers.ofString());
    }

    /** The list of lists behind a field; there is no reader of JSON in the JDK. */
    static String list(String body, String field) {
        int start = body.indexOf(field) + field.length();
        return body.substring(start, body.indexOf("]]", start) + 2);
    }
}
