import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Keeps what came of the steps of a story, for standard output as JSON. */
final class Told {
    static final int COUNT = 300;

    final List<Object> steps = new ArrayList<>();

    interface Story {
        void tell(Told told, String url, String index) throws Exception;
    }

    void tell(String step, Object... outcome) {
        steps.add(List.of(step, List.of(outcome)));
    }

    static Map<String, Object> document(int n) {
        return Map.of("n", n, "title", "red shoe " + n % 7);
    }

    /** java Program INDEX URL...: what a client tells of each server, in order. */
    static void main(String[] arguments, Story story) {
        List<Object> stories = new ArrayList<>();
        try {
            for (int at = 1; at < arguments.length; at++) {
                Told told = new Told();
                story.tell(told, arguments[at], arguments[0]);
                stories.add(told.steps);
            }
            System.out.println(new ObjectMapper().writeValueAsString(stories));
        } catch (Exception error) {
            error.printStackTrace();
            System.exit(1);
        }
        // Threads of a client need not have ended.
        System.exit(0);
    }
}
