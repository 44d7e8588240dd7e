"""Files of many languages and shapes, each with one change written by hand: what the corpus of bad edits is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A file and a change of it.

    Attributes:
        path: Where it is.
        before: Its text.
        search: The lines that change with lines around them; they stand once in the file.
        replace: What stands there afterwards.
        wrong: The searched lines with one name or number changed, so that they say something else.
    """

    path: str
    before: str
    search: str
    replace: str
    wrong: str

    @property
    def after(self) -> str:
        """The file after the change, by construction."""
        assert self.before.count(self.search) == 1, self.path
        return self.before.replace(self.search, self.replace)


PYTHON = Shape(
    "src/shop/pricing.py",
    '''"""Prices."""

RATE = 20


def net(price):
    """The price without tax."""
    # tax is in per cent
    share = 100 / (100 + RATE)
    return round(price * share, 2)


def gross(price):
    """The price with tax."""
    # tax is in per cent
    share = (100 + RATE) / 100
    return round(price * share, 2)


def label(price, name="item"):
    text = f"{name}: {price}"
    return text.strip()
''',
    """    # tax is in per cent
    share = (100 + RATE) / 100
    return round(price * share, 2)
""",
    """    # tax is in per cent
    share = (100 + RATE) / 100
    return round(price * share, 4)
""",
    """    # tax is in per cent
    share = (100 + RATE) / 101
    return round(price * share, 2)
""",
)
METHOD = Shape(
    "app/account.py",
    """class Account:
    def __init__(self, owner, balance=0):
        self.owner = owner
        self.balance = balance

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("amount must be positive")
        self.balance += amount
        return self.balance

    def withdraw(self, amount):
        if amount <= 0:
            raise ValueError("amount must be positive")
        self.balance -= amount
        return self.balance


class Savings(Account):
    interest = 0.02

    def grow(self):
        self.balance *= 1 + self.interest
""",
    """            raise ValueError("amount must be positive")
        self.balance -= amount
        return self.balance
""",
    """            raise ValueError("amount must be positive")
        if amount > self.balance:
            raise ValueError("not enough money")
        self.balance -= amount
        return self.balance
""",
    """            raise ValueError("amount must be positive")
        self.balance -= value
        return self.balance
""",
)
JAVASCRIPT = Shape(
    "web/cart.js",
    """import { api } from './api.js';

export function total(items) {
  let sum = 0;
  for (const item of items) {
    sum += item.price * item.count;
  }
  return sum;
}

export async function save(items) {
  const answer = await api.post('/cart', { items });
  // the server numbers carts
  if (answer.status !== 200) {
    throw new Error('cart was not saved');
  }
  return answer.id;
}
""",
    """  const answer = await api.post('/cart', { items });
  // the server numbers carts
  if (answer.status !== 200) {
    throw new Error('cart was not saved');
  }
""",
    """  const answer = await api.post('/cart', { items });
  // the server numbers carts
  if (!answer.ok) {
    throw new Error('cart was not saved');
  }
""",
    """  const answer = await api.post('/cart', { items });
  // the server numbers carts
  if (answer.status !== 201) {
    throw new Error('cart was not saved');
  }
""",
)
TYPESCRIPT = Shape(
    "src/lib/queue.ts",
    """export class Queue<T> {
  private items: T[] = [];

  push(item: T): void {
    this.items.push(item);
  }

  pop(): T | undefined {
    const first = this.items[0];
    this.items = this.items.slice(1);
    return first;
  }

  get size(): number {
    return this.items.length;
  }
}
""",
    """    const first = this.items[0];
    this.items = this.items.slice(1);
    return first;
""",
    """    return this.items.shift();
""",
    """    const first = this.items[1];
    this.items = this.items.slice(1);
    return first;
""",
)
GO = Shape(
    "cmd/server/main.go",
    """package main

import (
\t"fmt"
\t"net/http"
)

func hello(w http.ResponseWriter, r *http.Request) {
\tif r.URL.Path != "/" {
\t\thttp.NotFound(w, r)
\t\treturn
\t}
\tfmt.Fprintln(w, "hello")
}

func main() {
\thttp.HandleFunc("/", hello)
\taddr := ":8080"
\tfmt.Println(addr)
\thttp.ListenAndServe(addr, nil)
}
""",
    """\thttp.HandleFunc("/", hello)
\taddr := ":8080"
\tfmt.Println(addr)
\thttp.ListenAndServe(addr, nil)
""",
    """\thttp.HandleFunc("/", hello)
\taddr := ":8080"
\tfmt.Println(addr)
\tif err := http.ListenAndServe(addr, nil); err != nil {
\t\tfmt.Println(err)
\t}
""",
    """\thttp.HandleFunc("/", hello)
\taddr := ":9090"
\tfmt.Println(addr)
\thttp.ListenAndServe(addr, nil)
""",
)
RUST = Shape(
    "src/stack.rs",
    """pub struct Stack {
    items: Vec<u32>,
}

impl Stack {
    pub fn new() -> Self {
        Stack { items: Vec::new() }
    }

    pub fn push(&mut self, item: u32) {
        self.items.push(item);
    }

    pub fn peek(&self) -> u32 {
        let last = self.items.len() - 1;
        let item = self.items[last];
        item
    }
}
""",
    """    pub fn peek(&self) -> u32 {
        let last = self.items.len() - 1;
        let item = self.items[last];
        item
    }
""",
    """    pub fn peek(&self) -> Option<u32> {
        self.items.last().copied()
    }
""",
    """    pub fn peek(&self) -> u64 {
        let last = self.items.len() - 1;
        let item = self.items[last];
        item
    }
""",
)
JAVA = Shape(
    "src/main/java/org/example/Counter.java",
    """package org.example;

public class Counter {
    private int count = 0;

    public void increment() {
        count = count + 1;
        if (count > 100) {
            count = 0;
        }
    }

    public int value() {
        return count;
    }
}
""",
    """        count = count + 1;
        if (count > 100) {
            count = 0;
        }
""",
    """        count = count + 1;
        if (count >= 100) {
            count = 0;
        }
""",
    """        count = count + 2;
        if (count > 100) {
            count = 0;
        }
""",
)
C = Shape(
    "lib/list.c",
    """#include <stdlib.h>

struct node {
    int value;
    struct node *next;
};

int length(struct node *head) {
    int n = 0;
    for (struct node *p = head; p; p = p->next) {
        n++;
    }
    return n;
}

void release(struct node *head) {
    while (head) {
        struct node *next = head->next;
        free(head);
        head = head;
    }
}
""",
    """        struct node *next = head->next;
        free(head);
        head = head;
""",
    """        struct node *next = head->next;
        free(head);
        head = next;
""",
    """        struct node *prev = head->next;
        free(head);
        head = head;
""",
)
YAML = Shape(
    "deploy/service.yaml",
    """service:
  name: shop
  replicas: 2
  ports:
    - 8080
    - 9090
  limits:
    memory: 256Mi
    cpu: 500m
""",
    """  limits:
    memory: 256Mi
    cpu: 500m
""",
    """  limits:
    memory: 512Mi
    cpu: 500m
""",
    """  limits:
    memory: 128Mi
    cpu: 500m
""",
)
JSON = Shape(
    "package.json",
    """{
  "name": "shop",
  "version": "1.2.0",
  "scripts": {
    "test": "node test.js",
    "build": "node build.js",
    "lint": "eslint ."
  }
}
""",
    """    "test": "node test.js",
    "build": "node build.js",
    "lint": "eslint ."
""",
    """    "test": "node --test",
    "build": "node build.js",
    "lint": "eslint ."
""",
    """    "test": "node tests.js",
    "build": "node build.js",
    "lint": "eslint ."
""",
)
MAKEFILE = Shape(
    "Makefile",
    """all: build test

build:
\tcc -O1 -o app main.c
\tstrip app
\tcp app bin/app

test:
\t./run-tests
""",
    """\tcc -O1 -o app main.c
\tstrip app
\tcp app bin/app
""",
    """\tcc -O2 -o app main.c
\tstrip app
\tcp app bin/app
""",
    """\tcc -O3 -o app main.c
\tstrip app
\tcp app bin/app
""",
)
HTML = Shape(
    "site/index.html",
    """<!doctype html>
<html>
  <head>
    <title>Shop</title>
  </head>
  <body>
    <h1>Shop</h1>
    <p class="lead">Everything for 5 euros.</p>
    <a href="/cart">Cart</a>
  </body>
</html>
""",
    """    <h1>Shop</h1>
    <p class="lead">Everything for 5 euros.</p>
    <a href="/cart">Cart</a>
""",
    """    <h1>Shop</h1>
    <p class="lead">Everything for 6 euros.</p>
    <a href="/cart">Cart</a>
""",
    """    <h1>Shop</h1>
    <p class="lead">Everything for 7 euros.</p>
    <a href="/cart">Cart</a>
""",
)
CSS = Shape(
    "site/style.css",
    """body {
  margin: 0;
  color: black;
}

.card {
  padding: 8px;
  margin: 4px;
  color: gray;
}
""",
    """.card {
  padding: 8px;
  margin: 4px;
  color: gray;
""",
    """.card {
  padding: 12px;
  margin: 4px;
  color: gray;
""",
    """.card {
  padding: 9px;
  margin: 4px;
  color: gray;
""",
)
SQL = Shape(
    "db/orders.sql",
    """CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer TEXT NOT NULL,
    total REAL
);

CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    name TEXT,
    price REAL
);
""",
    """    id INTEGER PRIMARY KEY,
    name TEXT,
    price REAL
);
""",
    """    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    price REAL
);
""",
    """    id INTEGER PRIMARY KEY,
    title TEXT,
    price REAL
);
""",
)
SHELL = Shape(
    "scripts/backup.sh",
    """#!/bin/sh
set -e
target=/var/backups
keep=7

mkdir -p "$target"
tar -czf "$target/data.tgz" data
find "$target" -mtime +30 -delete
echo done
""",
    """mkdir -p "$target"
tar -czf "$target/data.tgz" data
find "$target" -mtime +30 -delete
""",
    """mkdir -p "$target"
tar -czf "$target/data-$(date +%F).tgz" data
find "$target" -mtime +30 -delete
""",
    """mkdir -p "$target"
tar -czf "$target/data.tgz" data
find "$target" -mtime +31 -delete
""",
)
RUBY = Shape(
    "lib/greeter.rb",
    """class Greeter
  def initialize(name)
    @name = name
  end

  def greet
    message = "Hello, #{@name}"
    puts message
    message
  end
end
""",
    """  def greet
    message = "Hello, #{@name}"
    puts message
    message
""",
    """  def greet
    message = "Good day, #{@name}"
    puts message
    message
""",
    """  def greet
    message = "Hello, #{@title}"
    puts message
    message
""",
)
MARKDOWN = Shape(
    "docs/install.md",
    """# Install

Run this:

1. Clone it.
2. Type make.
3. Copy app to /usr/local.

That is all.
""",
    """1. Clone it.
2. Type make.
3. Copy app to /usr/local.
""",
    """1. Clone it.
2. Type make install.
""",
    """1. Clone it.
2. Type make.
3. Copy app to /usr/bin.
""",
)
CRLF = Shape(
    "win/report.py",
    PYTHON.before.replace("\n", "\r\n"),
    PYTHON.search.replace("\n", "\r\n"),
    PYTHON.replace.replace("\n", "\r\n"),
    PYTHON.wrong.replace("\n", "\r\n"),
)
UNENDED = Shape(
    "src/unended.py",
    METHOD.before.removesuffix("\n"),
    METHOD.search,
    METHOD.replace,
    METHOD.wrong,
)
CYRILLIC = Shape(
    "отчёты/сводка.py",
    '''"""Сводка."""


def заголовок(имя):
    текст = "Отчёт: " + имя
    длина = len(текст)
    return текст[:80]


def подпись(имя):
    return "— " + имя
''',
    """    текст = "Отчёт: " + имя
    длина = len(текст)
    return текст[:80]
""",
    """    текст = "Отчёт за год: " + имя
    длина = len(текст)
    return текст[:120]
""",
    """    текст = "Отчёт: " + имя
    длина = len(текст)
    return текст[:40]
""",
)

SHAPES = {
    "python": PYTHON,
    "method": METHOD,
    "javascript": JAVASCRIPT,
    "typescript": TYPESCRIPT,
    "go": GO,
    "rust": RUST,
    "java": JAVA,
    "c": C,
    "yaml": YAML,
    "json": JSON,
    "makefile": MAKEFILE,
    "html": HTML,
    "css": CSS,
    "sql": SQL,
    "shell": SHELL,
    "ruby": RUBY,
    "markdown": MARKDOWN,
    "crlf": CRLF,
    "unended": UNENDED,
    "cyrillic": CYRILLIC,
}
