// What a hostile page can try in the browser of somebody who is signed in. Each attack is one that works
// against a service that forgot one rule; each is tried from a page on another site and from a sibling host.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { start as startIssuer } from '../op/op.mjs';
import { freeAddress, serve, until, urlOf } from './chatpass.mjs';
import { launch } from './chromium.mjs';
import { audience, open as openShop } from './shop.mjs';
