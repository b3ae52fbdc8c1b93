#!/usr/bin/env bash
echo later
