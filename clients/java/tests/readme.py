"""The README's blocks, as somebody runs them who copies them.

usage: readme.py run DIRECTORY URL LIBRARIES     compiles and runs each block of Java
       readme.py project DIRECTORY URL           makes a project of the dependency that the README names and its first block
"""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
QUICK = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>first</groupId>
  <artifactId>first</artifactId>
  <version>1</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source>
    <maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>
    {dependency}
    <dependency>
      <groupId>io.lettuce</groupId>
      <artifactId>lettuce-core</artifactId>
      <version>7.7.0.RELEASE</version>
    </dependency>
    <dependency>
      <groupId>tools.jackson.core</groupId>
      <artifactId>jackson-databind</artifactId>
      <version>3.1.8</version>
    </dependency>
  </dependencies>
  <build>
    <plugins>
      <plugin>
        <artifactId>maven-dependency-plugin</artifactId>
        <version>3.6.0</version>
        <executions>
          <execution>
            <phase>compile</phase>
            <goals><goal>copy-dependencies</goal></goals>
            <configuration><outputDirectory>target/libraries</outputDirectory></configuration>
          </execution>
        </executions>
      </plugin>
    </plugins>
  </build>
</project>
"""


def blocks(language, url):
    found = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    return [block.replace("redis://localhost:6379", url) for block in found]


def as_class(block, number):
    """Its name and its source. Statements without a class around them are put into one."""
    if named := re.search(r"^public class (\w+)", block, re.MULTILINE):
        return named[1], block
    lines = block.splitlines()
    imports = [line for line in lines if line.startswith("import ")]
    rest = [line for line in lines if not line.startswith("import ")]
    name = f"Block{number}"
    main = ["public static void main(String[] arguments) throws Exception {", *rest, "System.exit(0);", "}"]
    return name, "\n".join([*imports, f"public class {name} {{", *main, "}"])


def run(directory, url, libraries):
    path = f"{directory}:{libraries}/*"
    found = blocks("java", url)
    for number, block in enumerate(found):
        name, source = as_class(block, number)
        file = directory / f"{name}.java"
        file.write_text(source)
        subprocess.run(["javac", "-proc:none", "-cp", path, "-d", directory, file], check=True)
        done = subprocess.run(["java", *QUICK, "-cp", path, name], capture_output=True, text=True, timeout=300)
        print(done.stdout, done.stderr)
        if done.returncode or not done.stdout.strip():
            raise SystemExit(f"block {number} ({name}) FAILED")
    print(f"{len(found)} blocks compile and run")


def project(directory, url):
    (directory / "pom.xml").write_text(POM.replace("{dependency}", blocks("xml", url)[0]))
    name, source = as_class(blocks("java", url)[0], 0)
    (directory / f"src/main/java/{name}.java").write_text(source)


place = Path(sys.argv[2])
place.mkdir(parents=True, exist_ok=True)
run(place, *sys.argv[3:]) if sys.argv[1] == "run" else project(place, sys.argv[3])
