"""Reads the response of a URL with the parsers that its users have, and prints their results as JSON."""

import email.utils
import json
import sys
import urllib.error
import urllib.request
from datetime import datetime, timezone
from xml.etree import ElementTree

import feedparser
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus


def fetch(url):
    try:
        answer = urllib.request.urlopen(url, timeout=20)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        return {"status": answer.status, "type": answer.headers["Content-Type"], "body": answer.read().decode()}


def rfc_3339(text):
    """Parses a date in the W3C format, which Atom requires."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()


def rfc_822(text):
    """Parses a date and formats it again, so that a wrong day of the week is an error."""
    moment = email.utils.parsedate_to_datetime(text)
    if email.utils.format_datetime(moment) != text:
        raise ValueError(f"{text!r} is not as RFC 822 has it")
    return moment.timestamp()


DATES = {
    "{http://www.w3.org/2005/Atom}updated": rfc_3339,
    "{http://www.w3.org/2005/Atom}published": rfc_3339,
    "lastBuildDate": rfc_822,
    "pubDate": rfc_822,
}


def tree(element):
    text = (element.text or "").strip()
    seen = {
        "tag": element.tag.removeprefix("{http://www.w3.org/2005/Atom}"),
        "attributes": element.attrib,
        "text": text,
        "children": [tree(child) for child in element],
    }
    if element.tag in DATES:
        seen["seconds"] = DATES[element.tag](text)
    return seen


def read_feed(url):
    answer = fetch(url)
    answer["xml"] = tree(ElementTree.fromstring(answer["body"].encode()))
    answer["parsed"] = feedparser.parse(url)
    return answer


def read_metrics(url, parse):
    answer = fetch(url)
    answer["families"] = [
        {
            "name": family.name,
            "type": family.type,
            "unit": family.unit,
            "help": family.documentation,
            "samples": [{"name": sample.name, "labels": sample.labels, "value": sample.value} for sample in family.samples],
        }
        for family in parse(answer["body"])
    ]
    return answer


READERS = {
    "feed": read_feed,
    "openmetrics": lambda url: read_metrics(url, openmetrics),
    "prometheus": lambda url: read_metrics(url, prometheus),
}

if __name__ == "__main__":
    kind, url = sys.argv[1:]
    print(json.dumps(READERS[kind](url), default=str))
