#!/usr/bin/env bash
# prerequisites.sh [PYTHON]: look for what set-up needs, before anything is downloaded.
# Prints the Python to use, and exits 0. Names on standard error each thing that is missing, with
# the command that installs it, and exits 1. Runs on bash 3.2 (macOS) and uses no other program.
set -u

missing=0
lacks() { # what, Debian/Ubuntu, macOS
  missing=1
  {
    echo "Missing: $1"
    echo "  Debian/Ubuntu: $2"
    echo "  macOS:         $3"
  } >&2
}

# Python: a command may exist and yet not run (pyenv's stand-ins), so each is asked.
supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'
python=""
for candidate in ${1:-python3.12 python3.11 python3 python}; do
  if "$candidate" -c "$supported" </dev/null >/dev/null 2>&1; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  lacks "Python 3.11 or 3.12${1:+ ($1 is not one)}" \
    "sudo apt-get install python3 python3-venv  (Debian 12, Ubuntu 24.04; elsewhere python3.12 python3.12-venv)" \
    "brew install python@3.12"
elif ! "$python" -c 'import venv, ensurepip' </dev/null >/dev/null 2>&1; then
  lacks "the venv module of $python" \
    "sudo apt-get install $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" \
    "brew reinstall python@3.12"
fi

# Kafka: one that is named, or Docker's engine, or Java with Maven.
java_of() { # the major version of this java, or nothing
  local first
  first=$("$1" -version 2>&1 </dev/null) || return 0
  [[ $first =~ version\ \"(1\.)?([0-9]+) ]] && echo "${BASH_REMATCH[2]}"
  return 0
}
docker_answers() { # bounded by its own time limit: an engine that hangs is no engine
  command -v docker >/dev/null 2>&1 || return 1
  docker info >/dev/null 2>&1 </dev/null &
  local asked=$! waited=0
  while kill -0 "$asked" 2>/dev/null; do
    if [ "$waited" -ge 50 ]; then
      kill "$asked" 2>/dev/null
      return 1
    fi
    read -r -t 1 _ < <(sleep 0.1) || true
    waited=$((waited + 1))
  done
  wait "$asked"
}
if [ -z "${KAFKA_BOOTSTRAP_SERVERS:-}" ]; then
  java=java
  if [ -n "${JAVA_HOME:-}" ]; then java=$JAVA_HOME/bin/java; fi
  version=$(java_of "$java")
  if [ -z "$version" ] || [ "$version" -lt 17 ] || ! command -v mvn >/dev/null 2>&1; then
    if ! docker_answers; then
      what=""
      if [ -z "$version" ]; then
        what="Java 17 or later"
      elif [ "$version" -lt 17 ]; then
        what="Java 17 or later ($java is version $version)"
      fi
      command -v mvn >/dev/null 2>&1 || what="${what:+$what, and }Maven"
      lacks "a Docker engine that answers, or instead of it: $what" \
        "sudo apt-get install openjdk-17-jre-headless maven" \
        "brew install openjdk@17 maven && export JAVA_HOME=\"\$(brew --prefix openjdk@17)/libexec/openjdk.jdk/Contents/Home\""
    fi
  fi
fi

if [ "$missing" -ne 0 ]; then
  echo "Nothing was downloaded. Install what is missing and run the same command again." >&2
  exit 1
fi
echo "$python"
