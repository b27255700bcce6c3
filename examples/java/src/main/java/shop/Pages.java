package shop;

import java.sql.SQLException;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

@RestController
public class Pages {
    private final Reports reports;

    public Pages(Reports reports) {
        this.reports = reports;
    }

    @GetMapping("/report/{day}")
    public String report(@PathVariable("day") String day) throws SQLException, InterruptedException {
        return "<h1>" + day + "</h1><p>" + reports.of(day) + "</p>\n";
    }

    @PostMapping("/order/{day}")
    public void order(@PathVariable("day") String day, @RequestParam("amount") int amount) throws SQLException {
        reports.order(day, amount);
    }

    @GetMapping("/queries/{day}")
    public long queries(@PathVariable("day") String day) throws SQLException {
        return reports.queries(day);
    }
}
