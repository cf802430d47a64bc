//! What the demo sells, put up for sale through the gateway by the shop's staff.

use anyhow::{Context, Result};
use http::Method;
use ieum::base::Secret;
use serde_json::json;

use super::gateway::{Ask, Gateway};

/// A product: its name, its price in won, its pieces, and a part of its name to search for.
pub(super) struct Product {
    pub(super) name: &'static str,
    price: i64,
    stock: u32,
    /// Found by this.
    pub(super) part: &'static str,
}

const fn product(name: &'static str, price: i64, stock: u32, part: &'static str) -> Product {
    Product {
        name,
        price,
        stock,
        part,
    }
}

/// More than any demo sells.
const PLENTY: u32 = 10_000_000;

/// What is in stock.
pub(super) const PRODUCTS: [Product; 8] = [
    product("가죽운동화", 89_000, PLENTY, "운동화"),
    product("러닝화", 79_000, PLENTY, "러닝"),
    product("등산 신발", 129_000, PLENTY, "신발"),
    product("캔버스 가방", 45_000, PLENTY, "가방"),
    product("울 양말 세 켤레", 15_000, PLENTY, "양말"),
    product("방수 재킷", 159_000, PLENTY, "재킷"),
    product("면 티셔츠", 19_000, PLENTY, "티"),
    product("청바지", 69_000, PLENTY, "청"),
];

/// What there is too little of.
pub(super) const SCARCE: Product = product("한정판 시계", 990_000, 3, "시계");
/// How many of it an order asks for that must fail.
pub(super) const TOO_MANY: u32 = 10;

/// Signs the staff in and puts everything up for sale, once.
pub(super) async fn put_up(gateway: &Gateway, email: &str, password: &Secret) -> Result<()> {
    let credentials = json!({ "email": email, "password": password.expose() }).to_string();
    let ask = Ask {
        body: Some(&credentials),
        ..Ask::default()
    };
    let session = gateway.must(Method::POST, "/api/v1/sessions", ask).await?;
    let token = session["token"].as_str().context("a session has a token")?;
    let token = Secret::new(token.to_owned());
    for product in PRODUCTS.iter().chain([&SCARCE]) {
        let Product {
            name, price, stock, ..
        } = product;
        let body = json!({ "name": name, "price": price, "stock": stock }).to_string();
        let ask = Ask {
            token: Some(&token),
            key: Some(&format!(
                "catalogue-{}",
                ieum::base::Uuid::new_v5(&ieum::base::Uuid::NAMESPACE_OID, name.as_bytes())
            )),
            body: Some(&body),
        };
        gateway.must(Method::POST, "/api/v1/products", ask).await?;
    }
    Ok(())
}
